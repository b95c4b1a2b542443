"""Array parts of the denoisers."""
