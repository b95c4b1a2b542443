"""Export event tables and label volumes to the formats of other programs."""
