"""The result does not depend on how the recording is cut, and a stream may begin
anywhere.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_detection import detect

from astrocast.detection.threshold.activity import ActivityStream, lead_frames
from astrocast.settings.detection import DetectionSettings

settings = st.builds(
    DetectionSettings,
    use_smoothing=st.booleans(),
    spatial_z_depth=st.integers(0, 2),
    use_spatial=st.just(True),
    use_temporal=st.booleans(),
    temporal_prominence=st.sampled_from([4, 10, 20]),
    temporal_wlen=st.sampled_from([2, 7, 20, 60]),
    comb_type=st.sampled_from(["&", "|"]),
    holes_depth=st.integers(0, 2),
    objects_depth=st.integers(0, 2),
    fill_holes_first=st.booleans(),
)


def movie(n: int) -> np.ndarray:
    return (
        np.random.default_rng(n)
        .normal(0, 9, (n, 6, 7))
        .cumsum(axis=0)
        .astype(np.float32)
    )


def plain(data: np.ndarray, how: DetectionSettings) -> np.ndarray:
    ignored = {
        "lazy",
        "z_slice",
        "split_events",
        "debug",
        "event_map_export_format",
        "parallel",
        "use_on_disk_sharing",
    }
    return (
        detect(data, **{k: v for k, v in how.model_dump().items() if k not in ignored})
        > 0
    )


@given(
    how=settings,
    n=st.integers(1, 90),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=8),
)
def test_any_cut_gives_the_whole(how, n, cuts):
    data = movie(n)
    stream = ActivityStream(how, n)
    parts, start, i = [], 0, 0
    while start < n:
        stop = min(n, start + cuts[i % len(cuts)])
        parts.append(stream.push(data[start:stop]))
        start, i = stop, i + 1
    np.testing.assert_array_equal(np.concatenate(parts), plain(data, how))


@given(
    how=settings, n=st.integers(2, 150), at=st.integers(0, 149), size=st.integers(1, 50)
)
def test_a_stream_may_begin_anywhere(how, n, at, size):
    data, begin = movie(n), min(at, n - 1)
    first = max(0, begin - lead_frames(how))
    stream = ActivityStream(how, n, first=first)
    mask = np.concatenate(
        [stream.push(data[a : a + size]) for a in range(first, n, size)]
    )
    assert stream.first <= begin
    np.testing.assert_array_equal(
        mask[begin - stream.first :], plain(data, how)[begin:]
    )


@pytest.mark.parametrize(
    "how", [{"temporal_wlen": 20}, {"threshold": 5.0}, {"use_temporal": False}]
)
def test_missing_values_are_never_active_wherever_the_cut_is(how):
    data = movie(60)
    data[20:25, 2, 3] = np.nan
    data[40, 1] = -np.inf
    options = DetectionSettings(fill_holes=False, remove_objects=False, **how)
    found = []
    for size in (7, 60):
        stream = ActivityStream(options, 60, level=how.get("threshold"))
        found.append(
            np.concatenate(
                [stream.push(data[a : a + size]) for a in range(0, 60, size)]
            )
        )
        assert stream.count_invalid(0, 60) == 5 + 7
    np.testing.assert_array_equal(*found)
    assert found[0].any()
    assert not found[0][~np.isfinite(data)].any()
