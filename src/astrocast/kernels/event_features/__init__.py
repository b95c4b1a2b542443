"""Properties of events: shape, physiology, propagation, neighbours."""
