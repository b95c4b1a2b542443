"""Merging and splitting neither lose nor invent voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrocast.errors import InvalidValueError
from astrocast.kernels.curation.edit_masks import (
    PlacedMask,
    crop_mask,
    extrude_footprint,
    mask_signals,
    merge_masks,
    split_along_line,
    split_at_frame,
)

VOLUME = (8, 9, 10)
volumes = arrays(bool, VOLUME).filter(lambda volume: bool(volume.any()))


def voxels(event: PlacedMask) -> set[tuple[int, ...]]:
    return {tuple(p) for p in (np.argwhere(event.mask) + event.origin).tolist()}


def event_of(volume: Any) -> PlacedMask:
    return crop_mask(volume, (3, 2, 1))


@given(volumes, volumes)
def test_merged_is_the_union(first: Any, second: Any) -> None:
    parts = [event_of(first), event_of(second)]
    before = [part.mask.copy() for part in parts]
    assert voxels(merge_masks(parts)) == voxels(parts[0]) | voxels(parts[1])
    assert all((p.mask == b).all() for p, b in zip(parts, before, strict=True))


@given(volumes, st.integers(0, 12))
def test_a_frame_divides_without_loss(volume: Any, frame: int) -> None:
    event = event_of(volume)
    inside = event.origin[0] < frame < event.origin[0] + len(event.mask)
    if not inside:
        with pytest.raises(InvalidValueError, match="does not divide"):
            split_at_frame(event, frame)
        return
    early, late = split_at_frame(event, frame)
    assert voxels(early) | voxels(late) == voxels(event)
    assert max(z for z, _, _ in voxels(early)) < frame
    assert min(z for z, _, _ in voxels(late)) >= frame


@given(volumes, arrays(float, (2, 2), elements=st.floats(0, 12)))
def test_a_line_divides_without_loss(volume: Any, line: Any) -> None:
    event = event_of(volume)
    begin, end = (tuple(p) for p in line.tolist())
    try:
        parts = split_along_line(event, begin, end)
    except InvalidValueError:
        return
    first, second = (voxels(p) for p in parts)
    assert first | second == voxels(event)
    assert not first & second

    def side(voxel: tuple[int, ...]) -> float:
        down, right = end[0] - begin[0], end[1] - begin[1]
        return (voxel[1] - begin[0]) * right - (voxel[2] - begin[1]) * down

    assert all(side(v) > 0 for v in first)
    assert all(side(v) <= 0 for v in second)


def test_a_drawn_event_has_its_footprint_in_every_frame() -> None:
    footprint = np.zeros((6, 7), bool)
    footprint[2:4, 3:6] = True
    event = extrude_footprint(footprint, (5, 8))
    assert event.origin == (5, 2, 3)
    assert event.mask.shape == (3, 2, 3)
    assert event.mask.all()


def test_signals_are_means_within_and_around() -> None:
    block = np.arange(12.0).reshape(1, 3, 4)
    block[0, 0, 0] = np.nan
    mask = np.zeros((1, 3, 4), bool)
    mask[0, 0, :2] = True
    trace, noise, invalid = mask_signals(block, mask)
    assert trace.tolist() == [1.0]
    assert noise[0] == pytest.approx(np.mean(np.arange(2, 12)))
    assert invalid == 1
