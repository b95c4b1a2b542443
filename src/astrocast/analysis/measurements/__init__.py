"""Signals and columns that are computed from events and their recordings."""
