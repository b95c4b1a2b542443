"""Results on disk: events, registration, results of other programs."""
