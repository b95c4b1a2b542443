"""Simulated frames: events, the displaced baseline, photon and read noise.

A frame is a function of its number and the seed, so any block of frames equals that
part of the whole recording, whatever the number of threads.
"""
