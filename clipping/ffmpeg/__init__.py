"""All that knows ffmpeg's words: its options, its encoders, its filters, its messages."""
