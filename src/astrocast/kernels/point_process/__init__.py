"""Onsets as points in time: dependence, synchrony, responses to stimuli."""
