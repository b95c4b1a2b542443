"""Arrays with any order of axes as recordings, and the names of axes in files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError, InvalidValueError
from astrocast.io.formats.axes import read_layout
from astrocast.io.recording import (
    ALL,
    Metadata,
    Recording,
    check_movie_shape,
    named_errors,
)
from astrocast.io.selection import Selection

#: words that files use as names of axes
WORDS = {
    "T": ("t", "time", "frame", "frames", "num_frames"),
    "C": ("c", "channel", "channels", "ch"),
    "Z": ("z", "plane", "planes", "depth", "slice", "slices"),
    "Y": ("y", "row", "rows", "height"),
    "X": ("x", "column", "columns", "col", "cols", "width"),
    "P": ("p", "position", "positions", "scene", "series", "s", "r"),
}


class AxesRecording(Recording):
    """An array with named axes; frames of several channels alternate.

    Parameters
    ----------
    array
        Object that can be indexed by integers and slices like a NumPy array.
    axes
        A letter for each axis, see `astrocast.io.formats.axes.read_layout`.
    selection
        Plane and position to read.
    metadata, path, loc
        Metadata, path and dataset of the recording.
    """

    def __init__(
        self,
        array: Any,
        axes: str,
        selection: Selection,
        metadata: Metadata | None = None,
        path: Path | None = None,
        loc: str | None = None,
    ) -> None:
        where = str(path) if path else "the array"
        self._array = array
        self._layout = read_layout(axes, tuple(array.shape), where, selection)
        self.shape = check_movie_shape(self._layout.movie_shape, where)
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        if self.dtype.kind not in "biuf":
            raise FormatError(f"{where} holds {self.dtype}; expected real numbers")
        self.channels, self.choices = self._layout.channels, self._layout.choices
        self.metadata = metadata or Metadata()
        self.path, self.loc = path, loc
        if axes not in ("TYX", "TCYX"):
            self.remarks = (f"axes: {axes}",)

    @named_errors
    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        return self.read_every(start, stop, 1, rows, columns)

    @named_errors
    def read_every(
        self, start: int, stop: int, step: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return every ``step``-th frame, see `Recording.read_every`."""
        block = self._layout.read(self._array, start, stop, step, rows, columns)
        copied = block.astype(self.dtype, copy=False)
        return copied.copy() if np.shares_memory(copied, _base(self._array)) else copied


def _base(array: Any) -> NDArray[Any]:
    """Return a NumPy array itself; an empty array for other objects (dask)."""
    return array if isinstance(array, np.ndarray) else np.empty(0)


def find_axes(
    ndim: int,
    shape: Sequence[int],
    selection: Selection,
    where: str,
    labels: Iterable[str] | None = None,
) -> str:
    """Return the axes of an array: given by the user, by the file, or (frame, y, x).

    Raises
    ------
    InvalidValueError
        The axes are not known.
    FormatError
        The number of given axes does not fit the array.
    """
    if selection.axes is not None:
        if len(selection.axes) != ndim:
            raise FormatError(
                f"{where} has {ndim} axes, shape {tuple(shape)}, but axes="
                f"{selection.axes!r} names {len(selection.axes)}; name all of them"
            )
        return selection.axes
    named = axes_from_labels(labels or ())
    if named is not None and len(named) == ndim:
        return named
    if ndim == 3:
        return "TYX"
    raise InvalidValueError(
        f"{where} has {ndim} dimensions, shape {tuple(shape)}, without names. Name them"
        " with axes=, for example axes='TZYX' (T time, C channel, Z plane, P position,"
        " Y row, X column; command line: --axes TZYX)"
    )


def axes_from_labels(labels: Iterable[str]) -> str | None:
    """Return a letter for each label; None if one of them is not known."""
    words = [str(label).strip().lower() for label in labels]
    if words == ["z", "x", "y"]:  # (frame, row, column) of earlier astroCAST files
        return "TYX"
    letters = [
        next((a for a, known in WORDS.items() if word in known), None) for word in words
    ]
    found = "".join(a for a in letters if a)
    complete = len(found) == len(words) and len(set(found)) == len(found)
    return found if complete and {"Y", "X"} <= set(found) else None


def split_labels(text: Any) -> list[str]:
    """Return labels that a file stores as a list, as one word or with separators."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if isinstance(text, str):
        parts = [p for p in re.split(r"[\s,;]+", text) if p]
        return list(parts[0]) if len(parts) == 1 else parts
    return [t.decode() if isinstance(t, bytes) else str(t) for t in np.ravel(text)]
