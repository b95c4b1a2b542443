"""Seeded recordings with their ground truth."""
