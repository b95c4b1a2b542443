"""Detect events with a noise model of the recording."""
