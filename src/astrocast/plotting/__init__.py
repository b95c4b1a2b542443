"""Figures from arrays and tables: axes in, axes out."""
