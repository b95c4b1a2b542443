"""Derived recordings forward what their source has; parts and channels fit together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.io import known_formats
from astrocast.io.known_formats import Format
from astrocast.io.memory import ArrayRecording
from astrocast.io.recording import ALL, Metadata, Recording
from astrocast.io.registry import open_recording
from astrocast.io.views import (
    ConcatenatedRecording,
    CountingRecording,
    CroppedRecording,
    DerivedRecording,
    InterleavedRecording,
    MappedRecording,
    SlicedRecording,
)

MOVIE = np.random.default_rng(6).integers(0, 999, (12, 5, 6)).astype(np.uint16)


def source_of(movie: np.ndarray = MOVIE) -> ArrayRecording:
    source = ArrayRecording(movie, Metadata((0.5, 0.25), 4.0), Path("a.h5"))
    source.loc, source.chunk_frames, source.portable = "data/ch0", 4, True
    source.choices, source.remarks, source.missing = {"plane": ("0", "1")}, ("x",), (3,)
    return source


def test_everything_is_forwarded() -> None:
    source = source_of()
    for derived in (
        DerivedRecording.__new__(SlicedRecording),
        MappedRecording(source, lambda f: f),
        CroppedRecording(source, slice(1, 4), slice(0, 3)),
    ):
        if isinstance(derived, SlicedRecording):
            derived.__init__(source, 0, 12)
        for name in ("metadata", "path", "loc", "chunk_frames", "choices", "remarks"):
            assert getattr(derived, name) == getattr(source, name), name
        assert derived.missing == (3,)
    assert SlicedRecording(source, 1, 12, 2).missing == (1,)
    assert SlicedRecording(source, 0, 12).portable


@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    blanks=st.sets(st.integers(0, 3)),
    cut=st.tuples(st.integers(0, 8), st.integers(0, 16), st.integers(1, 4)),
)
def test_parts_and_channels(
    counts: list[int], blanks: set[int], cut: tuple[int, int, int]
) -> None:
    movies = [
        np.full((n, 2, 3), 10 + i) + np.arange(n)[:, None, None] * 10
        for i, n in enumerate(counts)
    ]
    kept = [i not in blanks or i == 0 for i in range(len(counts))]
    parts: list[Recording | None] = [
        ArrayRecording(m) if k else None for m, k in zip(movies, kept, strict=True)
    ]
    whole = np.concatenate(
        [
            m if k else np.zeros((2, 2, 3), int)
            for m, k in zip(movies, kept, strict=True)
        ]
    )
    joined = ConcatenatedRecording(parts, 2)
    start, stop, step = cut
    start, stop = min(start, len(whole)), min(max(start, stop), len(whole))
    found = joined.read_every(start, stop, step)
    np.testing.assert_array_equal(found, whole[start:stop:step])
    assert (
        sorted(joined.missing) == np.flatnonzero(whole.max(axis=(1, 2)) == 0).tolist()
    )
    both = InterleavedRecording([joined, ArrayRecording(whole + 1000)], ["a", "b"])
    mixed = np.stack([whole, whole + 1000], axis=1).reshape(-1, 2, 3)
    np.testing.assert_array_equal(both.to_array(), mixed)
    np.testing.assert_array_equal(
        both.read_every(2 * start, 2 * stop, step), mixed[2 * start : 2 * stop : step]
    )


def test_a_format_of_another_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Entry:
        name = "raw"

        def load(self) -> list[Format]:
            return [Format("raw", (".raw8",), f"{__name__}:open_raw")]

    monkeypatch.setattr(known_formats, "entry_points", lambda group: [Entry()])
    monkeypatch.setattr(known_formats, "load_callable", lambda where: open_raw)
    known_formats.registered_formats.cache_clear()
    try:
        (tmp_path / "a.raw8").write_bytes(bytes(range(48)))
        with open_recording(tmp_path / "a.raw8") as found:
            assert found.shape == (3, 4, 4)
        assert ".raw8" in known_formats.suffixes()
    finally:
        known_formats.registered_formats.cache_clear()


def open_raw(path: Path, loc: str | None) -> Recording:
    return ArrayRecording(np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 4, 4))


class CountNegative(CountingRecording):
    """A recording that counts the negative values that were read."""

    def read(self, start, stop, rows=ALL, columns=ALL):
        frames = self.source.read(start, stop, rows, columns)
        self.add(int((frames < 0).sum()))
        return frames


def test_a_recording_counts_in_any_thread_and_a_copy_counts_on_alone():
    movie = np.random.default_rng(0).normal(size=(40, 5, 6))
    counting = CountNegative(open_recording(movie))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda t: counting.read(t, t + 1), range(20)))
    assert counting.tally == (movie[:20] < 0).sum()
    other = copy(counting)
    other.read(20, 40)
    assert other.tally == (movie < 0).sum()
    assert counting.tally == (movie[:20] < 0).sum()
