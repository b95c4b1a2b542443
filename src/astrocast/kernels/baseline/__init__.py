"""Baselines over time: rolling minimum, percentile, exponential."""
