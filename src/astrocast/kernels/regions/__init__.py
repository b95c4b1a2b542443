"""Cells, landmarks and axes: convert polygons to masks, assign events to them."""
