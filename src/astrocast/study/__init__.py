"""Many recordings: batches, cohorts and their statistics."""
