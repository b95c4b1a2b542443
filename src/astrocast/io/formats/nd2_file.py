"""Read Nikon ND2 with the optional package nd2."""

from __future__ import annotations

import re
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import (
    AstrocastWarning,
    ChoiceError,
    FormatError,
    MissingExtraError,
    stack_level,
)
from astrocast.io.formats.axes import read_layout
from astrocast.io.formats.planes import PlanesRecording
from astrocast.io.recording import Metadata
from astrocast.io.selection import Selection


class ND2Recording(PlanesRecording):
    """An ND2 file; each of its frames contains all channels."""

    def __init__(
        self, path: Path, loc: str | None = None, selection: Selection | None = None
    ) -> None:
        try:
            import nd2
        except ImportError as error:
            raise MissingExtraError("nd2", "formats", "reading Nikon ND2") from error
        super().__init__(path)
        try:
            self._file = nd2.ND2File(path)
        except Exception as error:
            raise FormatError(f"{path} cannot be read as ND2: {error}") from error
        try:
            sizes = {a[0]: n for a, n in self._file.sizes.items()}
            if "S" in sizes:
                raise FormatError(
                    f"{path} has axes {sizes}; expected frames of one value per pixel,"
                    " not colour"
                )
            self._loops = {a: n for a, n in sizes.items() if a not in "CYX"}
            layout = read_layout(
                "".join(sizes),
                tuple(sizes.values()),
                str(path),
                selection or Selection(),
                {"position": self._position_names()},
                stacks=True,
            )
            self.take_layout(layout)
            self._sequence = [
                self._sequence_number(layout.index(t, 0)) for t in range(layout.frames)
            ]
            places = frame_places(path)
            self._keep_recorded(places)
            self.dtype = np.dtype(self._file.dtype)
            self.metadata = self._read_metadata()
            times = frame_times(path, places, self._sequence)
            if times is not None:
                self.metadata = self.metadata.with_times(times / 1000)
        except (
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            AttributeError,
            struct.error,
        ) as error:
            self._file.close()
            if isinstance(error, (FormatError, ChoiceError)):
                raise
            raise FormatError(f"{path} is a damaged ND2 file: {error}") from error

    def _position_names(self) -> tuple[str, ...]:
        """Return the names of the positions; empty without positions."""
        for loop in self._file.experiment:
            points = getattr(loop.parameters, "points", None)
            if points:
                return tuple(str(p.name or "") for p in points)
        return ()

    def _sequence_number(self, at: dict[str, int]) -> int:
        """Return the number of a frame in the file."""
        number = 0
        for axis, n in self._loops.items():
            number = number * n + at.get(axis, 0)
        return number

    def _keep_recorded(self, places: dict[int, int] | None) -> None:
        """Leave out missing frames at the end, which nd2 reads as black frames.

        Missing frames before the end are an error.
        """
        if places is None:
            return
        there = np.array([s in places for s in self._sequence])
        announced, kept = len(there), int(np.flatnonzero(there).max(initial=-1)) + 1
        gaps = np.flatnonzero(~there[:kept])
        if kept == announced and not len(gaps):
            return
        if len(gaps) or not kept:
            named = ", ".join(map(str, gaps[:5])) + ("..." if len(gaps) > 5 else "")
            raise FormatError(
                f"{self.path} states {announced} frames but contains"
                f" {int(there.sum())}; missing before the last one: {named or 'all'}."
                " Copy it again, or export the existing frames as OME-TIFF"
            )
        text = (
            f"{self.path} states {announced} frames but contains only the first"
            f" {kept}: the acquisition was stopped, and the recording ends there"
        )
        warnings.warn(text, AstrocastWarning, stacklevel=stack_level())
        self.remarks = (*self.remarks, text)
        self._sequence = self._sequence[:kept]
        self.shape = (kept * self.channels, *self.shape[1:])

    def _read_metadata(self) -> Metadata:
        """Return the physical metadata of the file."""
        file = self._file
        channels = getattr(file.metadata, "channels", None) or []
        size = file.voxel_size() if channels else None
        periods = [
            getattr(loop.parameters, "periodMs", None) for loop in file.experiment
        ]
        period = next((p for p in periods if p), None)
        return Metadata(
            pixel_size=(
                (float(size.y), float(size.x))
                if size is not None and size.x > 0
                else None
            ),
            frame_rate=1000.0 / period if period else None,
            channel_names=tuple(str(c.channel.name) for c in channels),
            acquisition_time=file.text_info.get("date") or None,
        )

    def plane(self, frame: int, channel: int) -> NDArray[Any]:
        """Return one plane, see `PlanesRecording.plane`."""
        try:
            planes = np.asarray(self._file.read_frame(self._sequence[frame]))
        except (ValueError, OSError, KeyError, IndexError) as error:
            raise FormatError(
                f"frame {frame} of {self.path} is damaged: {error}"
            ) from error
        return planes.reshape(self.channels, *self.shape[1:])[channel]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def frame_places(path: Path) -> dict[int, int] | None:
    """Return the offset of the chunk of each frame in an ND2 file.

    It is read from the map of chunks; None if there is no map. The last 40 bytes of a
    file (from version 2 on) are a signature and the offset of the map. The map contains
    the name of each chunk, ``ImageDataSeq|<number>!`` for a frame, and then its offset
    and length (uint64).
    """
    with path.open("rb") as file:
        file.seek(-40, 2)
        signature, place = struct.unpack("<32sQ", file.read(40))
        if signature != b"ND2 CHUNK MAP SIGNATURE 0000001!":
            return None
        file.seek(place)
        content = file.read()
    places: dict[int, int] = {}
    for match in re.finditer(rb"ImageDataSeq\|(\d+)!", content):
        if match.end() + 8 <= len(content):
            places[int(match[1])] = struct.unpack_from("<Q", content, match.end())[0]
    return places


def frame_times(
    path: Path, places: dict[int, int] | None, sequence: list[int]
) -> NDArray[np.float64] | None:
    """Return the time of each frame in milliseconds; None if the file has no times.

    A chunk consists of a header (magic number, length of the name, length of the data),
    the name, and the data. The data of a frame start with its time, a float64.
    """
    if places is None or any(s not in places for s in sequence):
        return None
    times = np.empty(len(sequence))
    with path.open("rb") as file:
        for i, number in enumerate(sequence):
            file.seek(places[number])
            magic, name_length, _ = struct.unpack("<IIQ", file.read(16))
            if magic != CHUNK_MAGIC:
                return None
            file.seek(name_length, 1)
            (times[i],) = struct.unpack("<d", file.read(8))
    plausible = np.all(np.isfinite(times)) and np.all(np.diff(times) > 0)
    return times if plausible else None


#: first four bytes of a chunk
CHUNK_MAGIC = 0x0ABECEDA
