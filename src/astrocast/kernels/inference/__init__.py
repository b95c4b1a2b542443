"""Statistics of few animals: tests, intervals, resampling."""
