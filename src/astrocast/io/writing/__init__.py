"""Write files that get their final name when they are complete."""
