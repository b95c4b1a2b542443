"""Bad frames are replaced before the search for events."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from astrocast.detection.calibrated.bad_frames import (
    InterpolatedRecording,
    interpolate_bad_frames,
    stand_ins,
)
from astrocast.io import open_recording


def noisy(frames: int) -> NDArray[np.float32]:
    """Return frames of 12 x 10 pixels whose level falls, with noise of 2."""
    rng = np.random.default_rng(1)
    level = 100 - 0.05 * np.arange(frames)[:, None, None]
    return (level + rng.normal(0, 2, (frames, 12, 10))).astype(np.float32)


@pytest.mark.parametrize(("first", "last"), [(40, 70), (0, 25), (90, 120), (60, 65)])
def test_a_long_run_keeps_level_and_noise(first: int, last: int) -> None:
    movie, bad = noisy(120), np.zeros(120, bool)
    bad[first:last] = True
    broken = movie.copy()
    broken[bad] = 0
    filled = InterpolatedRecording(open_recording(broken), bad).read(0, 120)
    np.testing.assert_array_equal(filled[~bad], movie[~bad])
    inside = filled[bad]
    # between both sides; at the start or end of the recording, the one side there is
    ends = [t for t in (first, last) if 0 < t < 120]
    wanted = 100 - 0.05 * np.clip(np.flatnonzero(bad), min(ends), max(ends))
    np.testing.assert_allclose(inside.mean((1, 2)), wanted, atol=1.0)
    steps = np.diff(filled, axis=0)
    within = steps[first + 1 : last - 2]
    assert np.std(within) == pytest.approx(np.sqrt(8), rel=0.25)
    # frames beside the run are not repeated in it
    for t in (first - 1, last):
        if 0 <= t < 120 and not bad[t]:
            own = (movie[t] - movie[t].mean()).ravel()
            near = filled[first : first + 4] if t < first else filled[last - 4 : last]
            alike = [np.corrcoef(own, f.ravel())[0, 1] for f in near]
            assert np.abs(alike).max() < 0.5


def test_blocks_of_a_filled_recording_are_those_of_the_whole() -> None:
    movie, bad = noisy(90), np.zeros(90, bool)
    bad[[5, 6, 20]] = True
    bad[40:60] = True
    recording = InterpolatedRecording(open_recording(movie), bad)
    whole = recording.read(0, 90)
    for start, stop in ((0, 7), (35, 45), (45, 58), (58, 90)):
        np.testing.assert_array_equal(recording.read(start, stop), whole[start:stop])
    part = recording.read(38, 62, slice(2, 9), slice(4, 8))
    np.testing.assert_array_equal(part, whole[38:62, 2:9, 4:8])
    np.testing.assert_allclose(
        whole[5], movie[4] + (movie[7] - movie[4]) / 3, rtol=1e-6
    )


def test_short_runs_have_a_result_and_long_ones_have_no_result() -> None:
    movie, bad = noisy(100), np.zeros(100, bool)
    bad[10:12], bad[40:50] = True, True
    _, unknown = interpolate_bad_frames(open_recording(movie), bad)
    assert unknown is not None
    assert np.flatnonzero(unknown).tolist() == list(range(40, 50))
    assert interpolate_bad_frames(open_recording(movie), np.zeros(100, bool))[1] is None
    assert (stand_ins(bad)[:40] == -1).all()
