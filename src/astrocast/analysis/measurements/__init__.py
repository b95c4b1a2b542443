"""Measurements over the events of a table."""
