from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.errors import InvalidValueError
from astrocast.kernels.activity.peaks import PeakCriteria, mark_peaks, peak_mask

sys.path.insert(0, str(Path(__file__).parents[2] / "detection"))
# the oracle beside the tests of the detection
from plain_detection import temporal_mask

criteria = st.builds(
    PeakCriteria,
    prominence=st.sampled_from([-1.0, 0.0, 0.5, 2.0, 5.0, 10.0]),
    width=st.sampled_from([0.0, 1.0, 3.0, 5.5]),
    rel_height=st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0, 1.4]),
    wlen=st.sampled_from([None, 2, 3, 4, 10, 21, 60]),
    plateau_size=st.sampled_from([None, 0, 1, 2, 3]),
)


def courses(seed: int, n: int, whole: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frames = rng.normal(size=(n, 2, 4)).cumsum(axis=0) * 3
    # whole numbers have plateaus, some longer than the window
    return (np.round(frames / 2) if whole else frames).astype(np.float32)


@given(
    what=criteria, seed=st.integers(0, 10**6), n=st.integers(1, 90), whole=st.booleans()
)
def test_equals_a_loop_of_find_peaks(what, seed, n, whole):
    frames = courses(seed, n, whole)
    np.testing.assert_array_equal(
        peak_mask(frames, what), temporal_mask(frames, **vars(what))
    )


@given(
    what=criteria,
    seed=st.integers(0, 10**6),
    n=st.integers(1, 90),
    size=st.integers(1, 40),
    whole=st.booleans(),
)
def test_blocks_of_any_size_with_the_halo_give_the_whole(what, seed, n, size, whole):
    frames = courses(seed, n, whole)
    result = peak_mask(frames, what)
    halo = n if what.halo is None else what.halo
    for start in range(0, n, size):
        stop = min(start + size, n)
        a, b = max(0, start - halo), min(n, stop + halo)
        np.testing.assert_array_equal(
            peak_mask(frames[a:b], what, slice(start - a, stop - a)), result[start:stop]
        )


def test_the_halo_cannot_be_smaller():
    # the deciding value is `halo` frames away: a peak active `reach` - 1 frames on,
    # whose valley is `reach` back
    what = PeakCriteria(prominence=5, width=0, rel_height=1.0, wlen=20)
    course = np.concatenate(
        [[0.0], np.full(9, 9.0), [10.0], np.linspace(9.9, 0, 11)]
    ).astype(np.float32)
    frames = course.reshape(-1, 1, 1)
    assert what.halo == 20
    far = 18
    assert peak_mask(frames, what)[far]
    assert not peak_mask(frames[1:], what)[far - 1]


@given(what=criteria, seed=st.integers(0, 1000), cut=st.integers(0, 60))
def test_every_peak_is_decided_once(what, seed, cut):
    frames = courses(seed, 60, True)
    parts = mark_peaks(frames, what, slice(0, cut)) | mark_peaks(
        frames, what, slice(cut, 60)
    )
    np.testing.assert_array_equal(parts, peak_mask(frames, what))


@given(what=criteria, seed=st.integers(0, 1000))
def test_floors_change_nothing_above_them(what, seed):
    frames = courses(seed, 70, False)
    floors = np.random.default_rng(seed).normal(0, 5, 70).astype(np.float32)
    above = frames > floors[:, None, None]
    np.testing.assert_array_equal(
        peak_mask(frames, what, floors=floors) & above, peak_mask(frames, what) & above
    )


def test_does_not_depend_on_threads_or_tiles():
    frames = np.random.default_rng(0).normal(size=(50, 9, 70)).astype(np.float32)
    what = PeakCriteria(1.0, 1.0, 0.9, 20)
    with ThreadPoolExecutor(3) as pool:
        np.testing.assert_array_equal(
            peak_mask(frames, what, pool=pool), peak_mask(frames, what)
        )
    np.testing.assert_array_equal(
        peak_mask(frames, what)[:, :, 33:41],
        peak_mask(frames[:, :, 33:41].copy(), what),
    )


def test_what_cannot_be_a_window_is_refused():
    with pytest.raises(InvalidValueError, match="at least 2 frames"):
        PeakCriteria(1, 1, 0.5, wlen=1)
    with pytest.raises(InvalidValueError, match="rel_height"):
        PeakCriteria(1, 1, -0.5)
