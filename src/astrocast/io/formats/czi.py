"""Zeiss CZI through czifile, an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError, MissingExtraError
from astrocast.io.formats.axes import read_layout
from astrocast.io.formats.planes import PlanesRecording
from astrocast.io.recording import Metadata, check_movie_shape


class CziRecording(PlanesRecording):
    """A CZI file of one scene; subblocks are read when they are needed."""

    def __init__(self, path: Path, loc: str | None = None) -> None:
        try:
            from czifile import CziFile, SegmentNotFoundError
        except ImportError as error:
            raise MissingExtraError(
                "czifile", "formats", "reading Zeiss CZI"
            ) from error
        super().__init__(path)
        # codecs raise RuntimeError
        self._damage = (
            ValueError,
            OSError,
            KeyError,
            RuntimeError,
            SegmentNotFoundError,
        )
        try:
            self._file = CziFile(str(path))
        except (ValueError, OSError, AssertionError, SegmentNotFoundError) as error:
            raise FormatError(f"{path} cannot be read as CZI: {error}") from error
        try:
            self._index()
            self.metadata = parse_czi(self._file.metadata() or "")
        except FormatError:
            self._file.close()
            raise
        except (
            ValueError,
            KeyError,
            IndexError,
            OSError,
            TypeError,
            SegmentNotFoundError,
        ) as error:
            self._file.close()
            raise FormatError(f"{path} is a damaged CZI file: {error}") from error

    def _index(self) -> None:
        """Find the subblock of each plane."""
        entries = [
            e for e in self._file.filtered_subblock_directory if e.pyramid_type == 0
        ]
        if any(e.mosaic_index for e in entries):
            raise FormatError(
                f"{self.path} is a mosaic of tiles; stitch it in ZEN first"
            )
        axes = self._file.axes.rstrip("0")
        shape = self._file.shape[: len(axes)]
        if self._file.shape[-1] != 1:
            raise FormatError(
                f"{self.path} holds colour; expected frames of one value per pixel"
            )
        layout = read_layout(axes, shape, str(self.path))
        self.channels = layout.channels
        rows, columns = shape[-2:]
        self.shape = check_movie_shape(
            (layout.frames * self.channels, rows, columns), str(self.path)
        )
        self.dtype = np.dtype(self._file.dtype)
        time = next(
            (
                a
                for a, n in zip(axes[:-2], shape[:-2], strict=True)
                if n > 1 and a != "C"
            ),
            None,
        )
        origin = dict(zip(self._file.axes, self._file.start, strict=True))
        self._entries: dict[tuple[int, int], Any] = {}
        for entry in entries:
            at = dict(zip(entry.axes, entry.start, strict=True))
            if entry.shape != entry.stored_shape or entry.shape[-3:-1] != (
                rows,
                columns,
            ):
                raise FormatError(
                    f"{self.path} stores frames in pieces or reduced; export it as"
                    " OME-TIFF"
                )
            frame = at[time] - origin[time] if time else 0
            self._entries[frame, at.get("C", 0) - origin.get("C", 0)] = entry
        missing = len(self) - len(self._entries)
        if missing:
            raise FormatError(
                f"{self.path} is incomplete: {missing} of {len(self)} planes are"
                " missing"
            )

    def plane(self, frame: int, channel: int) -> NDArray[Any]:
        """Return one plane, see `PlanesRecording.plane`."""
        entry = self._entries[frame, channel]
        try:
            content = entry.data_segment().data(raw=True)
            return decode_pixels(content, entry.compression, self.dtype).reshape(
                self.shape[1:]
            )
        except FormatError as error:
            raise FormatError(f"{self.path}: {error}") from error
        except self._damage as error:
            raise FormatError(
                f"frame {frame} of {self.path} is damaged: {error}"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def decode_pixels(
    content: bytes, compression: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return the pixels of a subblock, whatever its shape.

    czifile knows the older compressions only; ZEN writes Zstandard by default.
    Compression 5 is its plain stream; 6 has a header (its length, and whether the bytes
    were divided) before it. The numbers are those of the CZI format.
    """
    import imagecodecs

    if compression == 0:
        return np.frombuffer(content, dtype)
    if compression == 5:
        return np.frombuffer(imagecodecs.zstd_decode(content), dtype)
    if compression == 6:
        header, divided = (
            content[0],
            content[0] >= 3 and content[1] == 1 and bool(content[2] & 1),
        )
        plain = np.frombuffer(imagecodecs.zstd_decode(content[header:]), np.uint8)
        if divided and dtype.itemsize == 2:  # all low bytes, then all high ones
            plain = np.ascontiguousarray(plain.reshape(2, -1).T)
        return plain.reshape(-1).view(dtype)
    named: dict[int, Any] = {
        1: imagecodecs.jpeg8_decode,
        2: imagecodecs.lzw_decode,
        4: imagecodecs.jpegxr_decode,
    }
    if compression not in named:
        raise FormatError(
            f"its frames are compressed in a way (number {compression}) that is not known; "
            "save it uncompressed or with Zstandard in ZEN"
        )
    found = named[compression](content)
    return (
        np.frombuffer(found, dtype) if isinstance(found, bytes) else np.asarray(found)
    )


def parse_czi(xml: str) -> Metadata:
    """Return what the XML of a CZI file says; lengths are in metres there."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:  # damaged metadata is no reason to refuse the frames
        return Metadata()

    def number(path: str) -> float | None:
        text = root.findtext(path)
        return float(text) if text else None

    scale = {a: number(f".//Scaling/Items/Distance[@Id='{a}']/Value") for a in "XY"}
    image = ".//Metadata/Information/Image"
    interval = number(f"{image}/Dimensions/T/Positions/Interval/Increment")
    channels = root.findall(f"{image}/Dimensions/Channels/Channel")
    names = tuple(c.attrib.get("Name", "") for c in channels)
    return Metadata(
        pixel_size=(
            (scale["Y"] * 1e6, scale["X"] * 1e6) if scale["X"] and scale["Y"] else None
        ),
        frame_rate=1.0 / interval if interval else None,
        channel_names=names if any(names) else (),
        acquisition_time=root.findtext(f"{image}/AcquisitionDateAndTime") or None,
    )
