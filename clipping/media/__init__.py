"""Bytes of video: probing a source, encoding it, cutting clips out, proving them."""
