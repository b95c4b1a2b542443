"""Compute signals and columns from events and their recordings."""
