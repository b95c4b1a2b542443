"""Frames of an event in part of the field are not part of the first template."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.kernels.registration.illumination import (
    BLOCK,
    block_means,
    block_size,
    find_evenly_lit,
    unevenness,
)
from astrocast.kernels.registration.preprocess import plan_view, view_frames
from astrocast.kernels.registration.template import find_similar_frames

SIZE = 128


def texture(seed: int = 0, size: float = 1.8) -> NDArray[np.float64]:
    noise = ndimage.gaussian_filter(
        np.random.default_rng(seed).standard_normal((SIZE + 24, SIZE + 24)), size
    )
    return np.clip(1 + noise / noise.std() / 3, 0.05, None)


def event() -> NDArray[np.float64]:
    """Half of the field, its edge 6 pixels wide."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return 1 / (1 + np.exp(-(x + 0.3 * y - 80) / 1.5))


@pytest.fixture(scope="module")
def moved() -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return 16 frames of one texture without noise, and their shifts.

    They are shifted by up to 4 pixels; the first is not shifted.
    """
    shifts = np.random.default_rng(1).uniform(-4, 4, (16, 2))
    shifts[0] = 0
    scene = texture()
    frames = np.stack(
        [ndimage.shift(scene, s, order=3)[12:-12, 12:-12] for s in shifts]
    )
    return (100 * frames).astype(np.float32), shifts


@pytest.mark.parametrize("shape", [(64, 80), (50, 47), (12, 9), (3, 3)])
def test_block_means_are_those_of_a_plain_loop(shape: tuple[int, int]) -> None:
    seen = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    shifts = np.array([[0, 0], [5, -3], [-2, 30]])
    means, size = block_means(seen, shifts), block_size(shape)
    assert size == max(1, min(BLOCK, *(n // 4 for n in shape)))
    for b, (dy, dx) in enumerate(shifts):
        for i in range(shape[0] // size):
            for j in range(shape[1] // size):
                top, left = i * size + dy, j * size + dx
                inside = 0 <= top <= shape[0] - size and 0 <= left <= shape[1] - size
                expected = (
                    seen[b, top : top + size, left : left + size].mean()
                    if inside
                    else np.nan
                )
                np.testing.assert_allclose(means[b, i, j], expected, rtol=1e-5)


def test_unevenness_is_what_a_line_leaves() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.random((5, 6)).astype(np.float32)
    means = rng.random((4, 5, 6)).astype(np.float32)
    means[0] += 3 * wanted
    means[1, :2] = np.nan  # outside of the frame
    means[2] = 3 * wanted - 7  # brighter and offset, but lit alike
    means[3] = np.nan
    found = unevenness(means, wanted)
    for b in range(2):
        known = np.isfinite(means[b])
        line = np.polyfit(wanted[known], means[b][known], 1)
        expected = np.abs(means[b][known] - np.polyval(line, wanted[known])).max()
        np.testing.assert_allclose(found[b], expected, rtol=1e-4)
    np.testing.assert_allclose(found[2:], 0, atol=1e-5)
    np.testing.assert_array_equal(
        unevenness(np.ones((1, 2, 2), np.float32), np.zeros((2, 2), np.float32)), 0
    )


def test_an_event_is_no_template(moved: tuple[NDArray[Any], NDArray[Any]]) -> None:
    """Frames of an event look alike; the template is made from others."""
    frames = np.concatenate(
        [moved[0], moved[0][:5] + (200 * event()).astype(np.float32)]
    )
    seen = view_frames(frames, plan_view((SIZE, SIZE)))
    np.testing.assert_array_equal(find_evenly_lit(seen), np.arange(21) < 16)
    first = seen[find_similar_frames(seen)].mean(0)
    rest = np.corrcoef(first.ravel(), seen[:16].mean(0).ravel())[0, 1]
    light = np.corrcoef(first.ravel(), (seen[16] - seen[0]).ravel())[0, 1]
    assert abs(light) < 0.1 < rest
