"""Recordings that the library of a vendor reads plane by plane."""

from __future__ import annotations

import threading
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.formats.axes import Layout
from astrocast.io.recording import ALL, Recording, check_movie_shape, named_errors


class PlanesRecording(Recording):
    """A recording that is read plane by plane; frames of several channels alternate.

    A subclass sets `layout` and defines `plane`.
    """

    layout: Layout

    path: Path

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def take_layout(self, layout: Layout) -> None:
        """Set layout, channels, choices and shape."""
        self.layout, self.channels = layout, layout.channels
        self.choices = {**self.choices, **layout.choices}
        self.shape = check_movie_shape(layout.movie_shape, str(self.path))

    @abstractmethod
    def plane(self, frame: int, channel: int) -> NDArray[Any]:
        """Return one plane (row, column); called by one thread at a time."""

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
        """Return every ``step``-th frame without reading the others."""
        chosen = range(start, stop, step)
        size = np.empty(self.shape[1:], np.bool_)[rows, columns].shape
        block = np.empty((len(chosen), *size), self.dtype)
        with self._lock:
            for i, index in enumerate(chosen):
                block[i] = self.plane(index // self.channels, index % self.channels)[
                    rows, columns
                ]
        return block
