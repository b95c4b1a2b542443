"""Leica LIF through liffile, an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import DatasetNotFoundError, FormatError, MissingExtraError
from astrocast.io.formats.axes import read_layout
from astrocast.io.formats.planes import PlanesRecording
from astrocast.io.recording import Metadata, check_movie_shape


class LifRecording(PlanesRecording):
    """One image of a LIF file, named by ``loc`` (``"<image>"`` or ``"<image>/ch1"``)
    where there are several.
    """

    def __init__(self, path: Path, loc: str | None = None) -> None:
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
            self._image = self._choose(loc)
            self._describe()
        except (ValueError, KeyError, IndexError) as error:
            self._file.close()
            if isinstance(error, (FormatError, DatasetNotFoundError)):
                raise
            raise FormatError(f"{path} is a damaged LIF file: {error}") from error

    def _choose(self, loc: str | None) -> Any:
        images = list(self._file.images)
        named = (
            [i for i in images if i.name in (loc or "").strip("/").split("/")]
            if loc
            else []
        )
        if len(named) == 1 or len(images) == 1:
            return (named or images)[0]
        raise DatasetNotFoundError(
            f"{self.path} holds {len(images)} images; name one with loc:"
            f" {', '.join(i.name for i in images)}"
        )

    def _describe(self) -> None:
        sizes = dict(self._image.sizes)
        axes, shape = "".join(sizes), tuple(sizes.values())
        layout = read_layout(axes, shape, str(self.path))
        self.channels = layout.channels
        self.shape = check_movie_shape(
            (layout.frames * self.channels, *shape[-2:]), str(self.path)
        )
        self.dtype = np.dtype(self._image.dtype).newbyteorder("=")
        self._time = next(
            (
                a
                for a, n in zip(axes[:-2], shape[:-2], strict=True)
                if n > 1 and a != "C"
            ),
            None,
        )
        coordinates = self._image.coords
        steps = {a: _step(coordinates.get(a)) for a in "YXT"}
        channels = self._image.xml_element.findall(".//ChannelDescription")
        names = tuple(c.attrib.get("LUTName", "") for c in channels)
        stamps = self._image.timestamps
        self.metadata = Metadata(
            pixel_size=(
                (steps["Y"] * 1e6, steps["X"] * 1e6)
                if steps["Y"] and steps["X"]
                else None
            ),
            frame_rate=1.0 / steps["T"] if steps["T"] else None,
            channel_names=names if len(names) == self.channels and any(names) else (),
            acquisition_time=(
                str(stamps[0]) if stamps is not None and len(stamps) else None
            ),
        )

    def plane(self, frame: int, channel: int) -> NDArray[Any]:
        """Return one plane, see `PlanesRecording.plane`."""
        where = {self._time: frame} if self._time else {}
        if self.channels > 1:
            where["C"] = channel
        return np.asarray(self._image.frame(**where))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _step(values: NDArray[Any] | None) -> float | None:
    """Return the distance of neighbours along an axis."""
    return (
        float(values[1] - values[0])
        if values is not None and len(values) > 1 and values[1] > values[0]
        else None
    )
