"""Traces of events: extraction, extension, statistics."""
