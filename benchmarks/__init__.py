"""Benchmarks: each beside a plain-library baseline timed in the same run, printed as
ratios.
"""
