"""Traces over fixed footprints against a plain loop, whole and in blocks."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from astrocast.kernels.ragged.ragged import offsets_of
from astrocast.kernels.traces.footprint_traces import (
    FootprintTraces,
    MovieBlock,
    add_footprint_traces,
)
from astrocast.kernels.traces.traces import Pixels, Windows

SHAPE = (20, 7, 9)


@pytest.fixture
def scene():
    """Three events on random footprints; voxels of the label volume are random."""
    rng = np.random.default_rng(0)
    signal = rng.normal(5, 1, SHAPE).astype(np.float32)
    signal[3, 2, 2] = np.nan
    light = (100 + signal + rng.normal(0, 1, SHAPE)).astype(np.float32)
    labels = rng.choice([0, 0, 0, 1, 2, 3, -1], SHAPE).astype(np.int32)
    flat = [
        np.sort(rng.choice(63, n, replace=False)).astype(np.int64) for n in (5, 12, 1)
    ]
    pixels = Pixels(np.concatenate(flat), offsets_of([5, 12, 1]))
    z0, z1 = np.array([2, 8, 17]), np.array([6, 12, 20])
    starts, stops = np.array([0, 4, 10]), np.array([12, 20, 20])
    windows = Windows(starts, offsets_of(stops - starts))
    return signal, light, labels, pixels, z0, z1, windows


def in_blocks(scene, step: int, pool=None) -> FootprintTraces:
    signal, light, labels, pixels, z0, z1, windows = scene
    traces = FootprintTraces.empty(windows)
    for a in range(0, SHAPE[0], step):
        part = slice(a, a + step)
        block = MovieBlock(a, signal[part], labels[part], light[part])
        add_footprint_traces(block, pixels, z0, z1, traces, pool)
    return traces


def test_agrees_with_a_plain_loop(scene) -> None:
    signal, light, labels, pixels, z0, z1, windows = scene
    traces = in_blocks(scene, 6)
    for e in range(3):
        own = pixels.flat[pixels.offsets[e] : pixels.offsets[e + 1]]
        covered, rest = 0, []
        for i in range(windows.offsets[e], windows.offsets[e + 1]):
            t = windows.starts[e] + i - windows.offsets[e]
            values, marks = signal[t].ravel()[own], labels[t].ravel()[own]
            mine = (marks == 0) | (marks == e + 1)
            good = mine & np.isfinite(values)
            inside = z0[e] <= t < z1[e]
            if good.sum() >= max(1, 0.25 * len(own)):
                expected = values[good].mean()
            else:
                expected = np.nanmean(values) if inside else np.nan
            np.testing.assert_allclose(traces.mean[i], expected, rtol=1e-6)
            if inside:
                covered += (~mine).sum()
                rest.append(np.nanmean(light[t].ravel()[own] - values))
        assert traces.left_out[e] == covered
        np.testing.assert_allclose(traces.f0[e], np.mean(rest), rtol=1e-6)


def test_blocks_and_threads_change_nothing(scene) -> None:
    whole = in_blocks(scene, 20)
    with ThreadPoolExecutor(2) as pool:
        for traces in (in_blocks(scene, 1), in_blocks(scene, 7, pool)):
            np.testing.assert_array_equal(traces.mean, whole.mean)
            np.testing.assert_array_equal(traces.f0, whole.f0)
            np.testing.assert_array_equal(traces.left_out, whole.left_out)


def test_a_reference_image_is_subtracted_from_fluorescence(scene) -> None:
    signal, _, labels, pixels, z0, z1, windows = scene
    reference = np.arange(63, dtype=np.float32).reshape(7, 9)
    raw = signal + reference
    plain = FootprintTraces.empty(windows)
    add_footprint_traces(MovieBlock(0, signal, labels), pixels, z0, z1, plain)
    lifted = FootprintTraces.empty(windows)
    block = MovieBlock(0, raw, labels, raw, reference)
    add_footprint_traces(block, pixels, z0, z1, lifted)
    np.testing.assert_allclose(lifted.mean, plain.mean, rtol=1e-4)
    own = pixels.flat[: pixels.offsets[1]]
    assert lifted.f0[0] == pytest.approx(reference.ravel()[own].mean(), rel=1e-5)
    assert np.isnan(plain.f0).all()
