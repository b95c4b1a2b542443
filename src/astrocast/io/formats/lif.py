"""Read Leica LIF with the optional package liffile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import DatasetNotFoundError, FormatError, MissingExtraError
from astrocast.io.formats.axes import read_layout, times_of_frames
from astrocast.io.formats.planes import PlanesRecording
from astrocast.io.recording import Metadata
from astrocast.io.selection import Selection, choose


class LifRecording(PlanesRecording):
    """An image of a LIF file; one of several is chosen by ``loc`` or ``position``.

    ``loc`` is ``"<image>"`` or ``"<image>/ch1"``.
    """

    def __init__(
        self, path: Path, loc: str | None = None, selection: Selection | None = None
    ) -> None:
        try:
            import liffile
        except ImportError as error:
            raise MissingExtraError(
                "liffile", "formats", "reading Leica LIF"
            ) from error
        super().__init__(path)
        try:
            self._file = liffile.LifFile(path)
        except (
            liffile.LifFileError,
            ValueError,
            KeyError,
            OSError,
            SyntaxError,
        ) as error:
            raise FormatError(f"{path} cannot be read as LIF: {error}") from error
        try:
            chosen = selection or Selection()
            images = list(self._file.images)
            self._image = self._choose(images, loc, chosen)
            if len(images) > 1:
                self.choices = {"position": tuple(i.name for i in images)}
                chosen = replace(chosen, position=None)
            self._describe(chosen)
        except (ValueError, KeyError, IndexError) as error:
            self._file.close()
            if isinstance(error, (FormatError, DatasetNotFoundError)):
                raise
            raise FormatError(f"{path} is a damaged LIF file: {error}") from error

    def _choose(self, images: list[Any], loc: str | None, selection: Selection) -> Any:
        """Return the image that was chosen by position or by ``loc``."""
        if len(images) == 1:
            return images[0]
        parts = (loc or "").strip("/").split("/")
        named = [i for i in images if i.name in parts]
        if selection.position is None and len(named) == 1:
            return named[0]
        names = [i.name for i in images]
        wanted = selection.position
        return images[choose("position", names, wanted, str(self.path))]

    def _describe(self, selection: Selection) -> None:
        """Read the axes and the physical metadata of the image."""
        sizes = dict(self._image.sizes)
        if "S" in sizes or any(len(a) > 1 for a in sizes):
            raise FormatError(
                f"{self.path} has axes {sizes}; expected frames of one value per pixel,"
                " not colour"
            )
        axes, shape = "".join(sizes), tuple(sizes.values())
        self.take_layout(
            read_layout(axes, shape, str(self.path), selection, stacks=True)
        )
        self.dtype = np.dtype(self._image.dtype).newbyteorder("=")
        coordinates = self._image.coords
        steps = {a: _step(coordinates.get(a)) for a in "YXT"}
        channels = self._image.xml_element.findall(".//ChannelDescription")
        names = tuple(c.attrib.get("LUTName", "") for c in channels)
        stamps = self._image.timestamps
        there = stamps is not None and len(stamps) > 0
        self.metadata = Metadata(
            pixel_size=(
                (steps["Y"] * 1e6, steps["X"] * 1e6)
                if steps["Y"] and steps["X"]
                else None
            ),
            frame_rate=1.0 / steps["T"] if steps["T"] else None,
            channel_names=names if len(names) == self.channels and any(names) else (),
            acquisition_time=str(stamps[0]) if there else None,
        )
        times = times_of_frames(stamps, self.layout) if there else None
        if times is not None:
            seconds = times.astype("datetime64[us]").astype(np.int64) / 1e6
            self.metadata = self.metadata.with_times(seconds)

    def plane(self, frame: int, channel: int) -> NDArray[Any]:
        """Return one plane, see `PlanesRecording.plane`."""
        where = self.layout.index(frame, channel)
        found = np.asarray(self._image.frame(**where))
        return found.reshape(self.shape[1:])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _step(values: NDArray[Any] | None) -> float | None:
    """Return the distance between the first two values of an axis; None if not > 0."""
    return (
        float(values[1] - values[0])
        if values is not None and len(values) > 1 and values[1] > values[0]
        else None
    )
