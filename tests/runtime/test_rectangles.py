"""Parts of frames give the bytes of whole frames, and need less memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from astrocast.errors import AstrocastWarning
from astrocast.io import create_recording, open_recording
from astrocast.io.chunks import SLAB_BYTES, infer_chunks
from astrocast.preparation import Delta, baselines
from astrocast.runtime import rectangles
from astrocast.runtime.rectangles import plan_rectangles

sides = st.integers(1, 40)


@given(
    shape=st.tuples(sides, sides, sides),
    chunk=st.tuples(sides, sides, sides),
    halo=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    budget=st.integers(1, 200_000),
)
def test_every_voxel_is_in_one_rectangle_of_whole_chunks(
    shape: tuple[int, int, int],
    chunk: tuple[int, int, int],
    halo: tuple[int, int],
    budget: int,
) -> None:
    seen = np.zeros(shape, int)
    last = 0
    for part in plan_rectangles(shape, chunk, halo, budget=budget):
        seen[part.start : part.stop, part.rows, part.columns] += 1
        assert part.start >= last  # in the order of frames
        last = part.start
        for first, end, size, n in zip(
            (part.start, part.rows.start, part.columns.start),
            (part.stop, part.rows.stop, part.columns.stop),
            chunk,
            shape,
            strict=True,
        ):
            assert first % size == 0
            assert end % size == 0 or end == n
    assert (seen == 1).all()


@pytest.fixture
def movie() -> NDArray[np.uint16]:
    rng = np.random.default_rng(4)
    return rng.poisson(30, (90, 37, 41)).astype(np.uint16)


def saved(movie: Any, path: Path, **options: Any) -> tuple[NDArray[Any], int]:
    delta = Delta(movie)
    delta.run(floor=28.0, method="dFF", **options)
    with pytest.warns(AstrocastWarning, match="below"):
        delta.save(path, "df/ch0", chunks=(8, 16, 8))
    with open_recording(path, "df/ch0") as recording:
        return recording.to_array(), delta.floored


@pytest.mark.parametrize("baseline", ["corrected_minimum", "minimum", "percentile"])
def test_parts_of_frames_are_those_of_whole_frames(
    movie: NDArray[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, baseline: str
) -> None:
    source = tmp_path / "raw.zarr"
    with create_recording(source, "data/ch0", movie.shape, movie.dtype) as writer:
        writer.write(0, movie)
    whole = saved(source, tmp_path / "whole.zarr", window=12, baseline=baseline)
    asked = []
    copy = rectangles.CopyRectangle.__call__
    monkeypatch.setattr(baselines, "IMAGES_BYTES", 0)
    monkeypatch.setattr(rectangles, "RECTANGLE_BYTES", 4 * 40 * 16 * 20)
    monkeypatch.setattr(
        rectangles,
        "plan_rectangles",
        lambda *args: plan_rectangles(*args, budget=4 * 40 * 16 * 20),
    )
    monkeypatch.setattr(
        rectangles.CopyRectangle,
        "__call__",
        lambda self, part, pool: asked.append(part) or copy(self, part, pool),
    )
    parts = saved(source, tmp_path / "parts.zarr", window=12, baseline=baseline)
    assert len(asked) > 6
    assert parts[0].tobytes() == whole[0].tobytes()
    assert parts[1] == whole[1] > 0


@pytest.mark.parametrize("strategy", ["balanced", "XY"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_chunks_of_large_frames_are_parts_of_few_of_them(
    strategy: Any, dtype: str
) -> None:
    kind = np.dtype(dtype)
    chunk = infer_chunks((5000, 4096, 4096), kind, strategy)
    assert chunk[0] * 4096 * 4096 * kind.itemsize <= SLAB_BYTES
    assert max(chunk[1:]) <= 512
    # one chunk and 300 frames around it on each side stay below 1 GB
    parts = plan_rectangles((5000, 4096, 4096), chunk, (300, 300))
    first = next(parts)
    pixels = (first.rows.stop - first.rows.start) * (
        first.columns.stop - first.columns.start
    )
    assert 4 * pixels * (first.stop - first.start + 600) < 1 << 30
    # smaller frames are stored as before
    assert infer_chunks((5000, 512, 512), kind, "XY")[1:] == (512, 512)
    assert infer_chunks((5000, 512, 512), kind)[0] >= 64
