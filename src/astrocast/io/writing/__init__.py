"""Files that take their final name when they are complete."""
