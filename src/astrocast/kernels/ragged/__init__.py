"""Traces of unequal length in one flat array."""
