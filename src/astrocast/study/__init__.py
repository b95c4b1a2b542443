"""Many recordings: batches, cohorts, and what they say together."""
