"""Events by a noise model of the recording."""
