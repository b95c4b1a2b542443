"""Events in space and time."""
