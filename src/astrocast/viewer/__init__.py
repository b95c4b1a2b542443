"""Layers for napari."""
