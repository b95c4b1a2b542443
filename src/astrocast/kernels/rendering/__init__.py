"""Simulated frames: events, the displaced baseline, photon and read noise.

A frame depends only on its number and the seed, so a block of frames equals the same
part of the whole recording, for any number of threads.
"""
