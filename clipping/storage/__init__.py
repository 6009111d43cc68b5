"""Where bytes come from and go to: local files, object stores, web servers, scratch space."""
