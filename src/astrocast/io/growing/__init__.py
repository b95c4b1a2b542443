"""Read recordings that are still being written."""
