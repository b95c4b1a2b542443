"""Readers and writers of recordings, one module for each format."""
