"""Event tables and label volumes in formats of other programs."""
