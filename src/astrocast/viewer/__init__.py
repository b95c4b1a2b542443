"""Show recordings and events in napari."""
