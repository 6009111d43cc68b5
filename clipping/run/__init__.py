"""One run from the first video to the last line, without Prefect and without Ray."""
