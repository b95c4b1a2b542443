"""Detected events as an object: load, filter, normalise, group, compare, export."""
