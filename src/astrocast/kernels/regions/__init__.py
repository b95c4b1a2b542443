"""Cells, landmarks and axes: polygons as masks, events attributed to them."""
