"""Nikon ND2 through nd2, an extra."""

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
    FormatError,
    MissingExtraError,
    stack_level,
)
from astrocast.io.formats.axes import read_layout
from astrocast.io.formats.planes import PlanesRecording
from astrocast.io.recording import Metadata, check_movie_shape


class ND2Recording(PlanesRecording):
    """An ND2 file of one position; a frame of the file holds all its channels."""

    def __init__(self, path: Path, loc: str | None = None) -> None:
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
            sizes = dict(self._file.sizes)
            layout = read_layout(
                "".join(a[0] for a in sizes), tuple(sizes.values()), str(path)
            )
            self.channels = layout.channels
            rows, columns = sizes["Y"], sizes["X"]
            frames = self._recorded(layout.frames)
            self.shape = check_movie_shape(
                (frames * self.channels, rows, columns), str(path)
            )
            self.dtype = np.dtype(self._file.dtype)
            self.metadata = self._read_metadata()
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            self._file.close()
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{path} is a damaged ND2 file: {error}") from error

    def _recorded(self, announced: int) -> int:
        """Return how many frames there are; nd2 gives black ones for those that are not
        there.
        """
        there = stored_frames(self.path)
        if there is None or len(there) >= announced:
            return announced
        last = max(there, default=-1)
        gaps = sorted(set(range(last + 1)) - there)
        if gaps or not there:
            named = ", ".join(map(str, gaps[:5])) + ("..." if len(gaps) > 5 else "")
            raise FormatError(
                f"{self.path} announces {announced} frames and holds {len(there)};"
                f" missing before its last one: {named or 'all'}. Copy it again, or"
                " export what is there as OME-TIFF"
            )
        warnings.warn(
            f"{self.path} announces {announced} frames and holds the first"
            f" {len(there)}: the acquisition was stopped, and the recording ends there",
            AstrocastWarning,
            stacklevel=stack_level(),
        )
        return len(there)

    def _read_metadata(self) -> Metadata:
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
            planes = np.asarray(self._file.read_frame(frame))
        except (ValueError, OSError, KeyError, IndexError) as error:
            raise FormatError(
                f"frame {frame} of {self.path} is damaged: {error}"
            ) from error
        return planes.reshape(self.channels, *self.shape[1:])[channel]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def stored_frames(path: Path) -> set[int] | None:
    """Return the numbers of the frames in the map of chunks at the end of an ND2 file;
    None where there is no map.

    The last 40 bytes of a file (of version 2 and later) are a signature and the place
    of the map; the map has the name of each chunk, ``ImageDataSeq|<number>!`` for a
    frame.
    """
    with path.open("rb") as file:
        file.seek(-40, 2)
        signature, place = struct.unpack("<32sQ", file.read(40))
        if signature != b"ND2 CHUNK MAP SIGNATURE 0000001!":
            return None
        file.seek(place)
        return {
            int(number) for number in re.findall(rb"ImageDataSeq\|(\d+)!", file.read())
        }
