"""Cut videos into fixed-stride clips, frame-exact, and transcode each to a standard MP4."""
