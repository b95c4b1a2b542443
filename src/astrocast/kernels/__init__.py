"""The science: pure functions, arrays in, arrays out. No files, no logging, no mutation
of the input.
"""
