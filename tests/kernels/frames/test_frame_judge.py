"""Frames judged in stretches: the same as the whole where the light is steady."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.kernels.frames.frame_judge import AROUND, FrameJudge
from astrocast.kernels.frames.frame_quality import (
    block_noise,
    judge_frames,
    spread_of,
)
from astrocast.kernels.frames.frame_statistics import measure_frames


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(8)
    out = rng.normal(100, 4, (5000, 8, 8)).astype(np.float32)
    out[::701] = 0  # black
    out[1500:1503] += 80  # a flash
    out[3300] = out[3299]  # repeated
    return out


def judge(frames, size, stretch):
    found = FrameJudge(stretch)
    for a in range(0, len(frames), size):
        found.add(measure_frames(frames[a : a + size], frames[a - 1] if a else None))
    return [(f.frame, f.kind) for f in found.flags()]


@pytest.mark.parametrize("stretch", [900, 1400, 100_000])
def test_flags_are_those_of_the_whole(frames, stretch):
    whole = [(f.frame, f.kind) for f in judge_frames(measure_frames(frames))]
    assert {k for _, k in whole} == {"black", "flash", "repeated"}
    assert judge(frames, 512, stretch) == whole


def test_flags_do_not_depend_on_the_blocks(frames):
    assert judge(frames, 37, 1000) == judge(frames, 1024, 1000)


def test_memory_does_not_grow(frames):
    found, held = FrameJudge(600), []
    for a in range(0, len(frames), 100):
        found.add(measure_frames(frames[a : a + 100], None))
        held.append(sum(map(len, found._parts)))
    assert max(held) <= 600 + 300 + 2 * AROUND + 100


def test_statistics_of_long_recordings_make_small_copies():
    """They are those of the whole, and their memory is not that of the recording."""
    import tracemalloc

    rng = np.random.default_rng(5)
    values = rng.normal(size=(20_000, 32, 4))
    middle = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - middle), axis=0)
    steps = np.diff(values, axis=0)
    noise = 1.4826 * np.median(np.abs(steps - np.median(steps, axis=0)), axis=0)
    np.testing.assert_array_equal(spread_of(values), spread)
    np.testing.assert_array_equal(block_noise(values), noise / np.sqrt(2))
    assert float(spread_of(values[:, 0, 0])) == spread[0, 0]
    tracemalloc.start()
    block_noise(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < values.nbytes / 2
