"""Random streams: one for each part of a simulated recording."""

from __future__ import annotations

import numpy as np

#: number of the stream of each part. Never change a number: the same seed would give
#: another recording
STREAMS = {
    "scene": 0,
    "events": 1,
    "motion": 2,
    "drift": 3,
    "second": 4,
    "noise": 5,
    "tissue_events": 6,
    "z_drift": 7,
    "background": 8,
    "vessel": 9,
    "flicker": 10,
    "hot_pixels": 11,
    "dead_pixels": 12,
    "line_motion": 13,
    "dropped": 14,
    "repeated": 15,
    "flash": 16,
    "laser_off": 17,
    "lost_lines": 18,
    "out_of_focus": 19,
    "event_heights": 20,
}


def seed_of(seed: int, name: str) -> np.random.SeedSequence:
    """Return the seed of one part of the recording with this seed."""
    return np.random.SeedSequence(seed, spawn_key=(STREAMS[name],))


def generator_of(seed: int, name: str) -> np.random.Generator:
    """Return the random generator of one part."""
    return np.random.default_rng(seed_of(seed, name))
