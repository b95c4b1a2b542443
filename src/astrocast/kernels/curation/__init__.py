"""Curate events: merge, split and draw masks; compare events; measure agreement."""
