"""Decisions about events: masks that are merged, split and drawn, and agreement."""
