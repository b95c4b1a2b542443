from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from astrocast.kernels.event_features.features import (
    Boxes,
    measure_signals,
    trace_properties,
)
from astrocast.kernels.masks.runs import label_runs_of_volume


def labelled(seed: int) -> tuple[np.ndarray, int, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels, n = ndimage.label(rng.random((9, 8, 11)) < 0.35)
    return (
        labels.astype(np.int32),
        n,
        rng.normal(10, 5, labels.shape).astype(np.float32),
    )


@given(seed=st.integers(0, 1000), size=st.integers(1, 9))
def test_boxes_of_blocks_add_up(seed, size):
    labels, n, _ = labelled(seed)
    boxes = Boxes.empty(n)
    for a in range(0, 9, size):
        boxes.add(*label_runs_of_volume(labels[a : a + size]), a)
    np.testing.assert_array_equal(boxes.area, np.bincount(labels.ravel())[1:])
    for e, box in enumerate(ndimage.find_objects(labels)):
        assert [s.start for s in box] == boxes.low[e].tolist()
        assert [s.stop for s in box] == boxes.high[e].tolist()


@given(seed=st.integers(0, 1000))
def test_signals_are_means_over_own_voxels_and_over_the_rest_of_the_box(seed):
    labels, n, frames = labelled(seed)
    frames[3, 2, :4] = np.nan
    frames[5, 1, 1] = np.inf
    runs, of = label_runs_of_volume(labels)
    boxes = Boxes.empty(n)
    boxes.add(runs, of, 0)
    with ThreadPoolExecutor(2) as pool:
        found = measure_signals(frames, runs, of, boxes, pool)
    assert len(found.event) == sum(len(np.unique(f[f > 0])) for f in labels)
    for e, t, mean, noise, invalid in zip(
        found.event, found.frame, found.mean, found.noise, found.invalid, strict=True
    ):
        (_, y0, x0), (_, y1, x1) = boxes.low[e - 1], boxes.high[e - 1]
        data, own = frames[t, y0:y1, x0:x1], labels[t, y0:y1, x0:x1] == e
        finite = np.isfinite(data)
        if (own & finite).any():
            assert mean == pytest.approx(data[own & finite].mean(dtype=float), rel=1e-6)
        else:
            assert np.isnan(mean)
        rest = data[~own & finite]
        assert noise == pytest.approx(
            rest.mean(dtype=float) if len(rest) else 0, rel=1e-5, abs=1e-5
        )
        assert invalid == (own & ~finite).sum()


def test_traces_are_described_by_their_own_values_only():
    trace = np.array([1, 5, 2, 7, 3, 3], np.float32)
    noise = np.array([1, 1, 4, 0, 2, 2], np.float32)
    found = trace_properties(trace, noise, np.array([0, 3, 4, 6]))
    assert found["v_max_height"].tolist() == [4, 0, 0]
    assert found["v_max_gradient"][0] == 4
    assert np.isnan(found["v_max_gradient"][1])  # one frame has no step
    assert found["v_max_gradient"][2] == 0
    assert found["v_noise_mask_mean"].tolist() == [2, 0, 2]
    assert found["v_noise_mask_std"][0] == pytest.approx(np.std([1, 1, 4]))
    assert found["v_signal_to_noise_ratio"][0] == 2
    assert np.isnan(found["v_signal_to_noise_ratio"][1])  # no noise to compare with
    assert found["v_signal_to_noise_ratio_fold"][0] == pytest.approx(
        (4 - 2) / np.std([1, 1, 4])
    )
    assert np.isnan(found["v_signal_to_noise_ratio_fold"][2])
    assert all(
        len(v) == 0
        for v in trace_properties(trace[:0], noise[:0], np.zeros(1, np.int64)).values()
    )
