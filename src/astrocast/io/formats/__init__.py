"""One file per format of a recording."""
