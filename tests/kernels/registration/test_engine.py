"""Batches, blocks, threads and engines change nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.kernels.registration import jax_engine
from astrocast.kernels.registration.engine import (
    Estimate,
    Model,
    OutputConversion,
    correct,
    estimate,
)
from astrocast.kernels.registration.piecewise import plan_grid, spread_fields
from astrocast.kernels.registration.preprocess import plan_view, view_frames
from astrocast.kernels.registration.template import (
    Sample,
    piecewise_template,
    rigid_template,
)

SHAPE = (120, 112)


@pytest.fixture(scope="module")
def frames() -> NDArray[Any]:
    """21 frames of 120 x 112 pixels, each shifted by up to 4 pixels, 60 photons."""
    rng = np.random.default_rng(0)
    scene = ndimage.gaussian_filter(rng.standard_normal((140, 132)), 1.8)
    scene = np.clip(1 + scene / scene.std() / 2, 0.05, None)
    moved = [
        ndimage.shift(scene, s, order=3)[10:130, 10:122]
        for s in rng.uniform(-4, 4, (21, 2))
    ]
    return rng.poisson(60 * np.clip(moved, 0, None)).astype(np.uint16)


@pytest.fixture(scope="module")
def models(frames: NDArray[Any]) -> dict[str, Model]:
    view = plan_view(SHAPE)
    sample = Sample(frames, view_frames(frames, view), view, (10, 10), (20, 20))
    rigid = rigid_template(sample, 2)
    fields = piecewise_template(
        sample, rigid, plan_grid(SHAPE, view, (32, 32), (16, 16), 4), 3
    )
    return {"rigid": rigid, "piecewise": fields, "dim": replace(fields, halo=2)}


def assert_same(found: Estimate, expected: Estimate, atol: float) -> None:
    np.testing.assert_allclose(found.shifts, expected.shifts, atol=atol)
    np.testing.assert_allclose(found.fields, expected.fields, atol=atol)
    np.testing.assert_allclose(
        found.correlation_after, expected.correlation_after, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["rigid", "piecewise", "dim"])
def test_blocks_and_threads_change_nothing(
    frames: NDArray[Any], models: dict[str, Model], kind: str
) -> None:
    model = models[kind]
    whole = estimate(frames, model)
    halo = 2 if kind == "dim" else 0
    with ThreadPoolExecutor(3) as pool:
        parts = []
        for start in range(0, 21, 5):
            stop, low = min(start + 5, 21), max(0, start - halo)
            inner = slice(start - low, stop - low)
            parts.append(
                estimate(frames[low : min(21, stop + halo)], model, inner, pool)
            )
    joined = Estimate.join(parts)
    assert_same(joined, whole, 1e-5)
    np.testing.assert_allclose(joined.sum_after, whole.sum_after, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("kind", ["rigid", "piecewise", "dim"])
def test_jax_finds_the_same_shifts(
    frames: NDArray[Any], models: dict[str, Model], kind: str
) -> None:
    pytest.importorskip("jax", reason="the extra 'gpu' is not installed")
    assert_same(
        jax_engine.estimate(frames, models[kind]), estimate(frames, models[kind]), 1e-3
    )
    lit = frames.copy()
    lit[::3, :, 60:] *= 3  # some frames with an event
    found, expected = (
        jax_engine.estimate(lit, models[kind]),
        estimate(lit, models[kind]),
    )
    assert_same(found, expected, 1e-3)


def test_correction_is_the_same_on_any_number_of_threads(
    frames: NDArray[Any], models: dict[str, Model]
) -> None:
    for model in (models["rigid"], models["piecewise"]):
        found = estimate(frames, model)
        alone = correct(
            frames,
            found.shifts,
            found.fields,
            model,
            OutputConversion(np.dtype(np.uint16)),
        )
        with ThreadPoolExecutor(3) as pool:
            shared = correct(
                frames,
                found.shifts,
                found.fields,
                model,
                OutputConversion(np.dtype(np.uint16)),
                pool,
            )
        np.testing.assert_array_equal(alone, shared)
        assert alone.dtype == np.uint16


def test_the_template_sits_at_the_median_position(
    frames: NDArray[Any], models: dict[str, Model]
) -> None:
    for kind in ("rigid", "piecewise"):
        np.testing.assert_allclose(
            np.median(estimate(frames, models[kind]).shifts, axis=0), 0, atol=0.05
        )
    fields = estimate(frames, models["piecewise"]).fields
    assert np.abs(np.median(fields, axis=0)).max() < 0.3


def test_a_single_patch_stands_for_the_frame() -> None:
    grid = plan_grid((40, 200), plan_view((40, 200)), (48, 48), (24, 24), 4)
    assert grid.shape == (1, 4)
    fields = np.random.default_rng(0).random((2, 2, 1, 4)).astype(np.float32)
    nodes = spread_fields(fields, grid)
    np.testing.assert_allclose(
        nodes[:, :, 0, [0, -1]], fields[:, :, 0][..., [0, -1]], atol=1e-5
    )
    np.testing.assert_allclose(nodes[:, :, 1], nodes[:, :, 0], atol=1e-6)
