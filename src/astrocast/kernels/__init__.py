"""The science: pure functions over arrays.

No files, no logging, no change of the input.
"""
