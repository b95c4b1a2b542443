"""Read Zeiss CZI with the optional package czifile."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import ChoiceError, FormatError, MissingExtraError
from astrocast.io.formats.axes import read_layout, times_of_frames
from astrocast.io.formats.planes import PlanesRecording
from astrocast.io.recording import Metadata
from astrocast.io.selection import Selection, choose

#: axes of a frame, and of colour samples; M numbers the tiles of a mosaic
NOT_COUNTED = "YX0M"


class CziRecording(PlanesRecording):
    """A CZI file; its subblocks are read only when they are needed."""

    def __init__(
        self, path: Path, loc: str | None = None, selection: Selection | None = None
    ) -> None:
        try:
            import czifile
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
            IndexError,
            TypeError,
            RuntimeError,
            AssertionError,
            # czifile from 2026 on
            getattr(czifile, "SegmentNotFoundError", ValueError),
        )
        try:
            self._file = czifile.CziFile(str(path))
        except self._damage as error:
            raise FormatError(f"{path} cannot be read as CZI: {error}") from error
        try:
            self._index(selection or Selection())
            self.metadata = parse_czi(self._file.metadata() or "", self.channels)
            times = self._read_times()
            if times is not None:
                self.metadata = self.metadata.with_times(times)
        except (FormatError, ChoiceError):
            self._file.close()
            raise
        except self._damage as error:
            self._file.close()
            raise FormatError(f"{path} is a damaged CZI file: {error}") from error

    def _index(self, selection: Selection) -> None:
        """Find the subblocks of the chosen scene."""
        entries = [
            e for e in self._file.filtered_subblock_directory if e.pyramid_type == 0
        ]
        if any((e.mosaic_index or 0) > 0 for e in entries):
            raise FormatError(
                f"{self.path} is a mosaic of tiles, which is not supported; stitch it"
                " in ZEN first"
            )
        if any(e.shape[-1] != 1 for e in entries):
            raise FormatError(
                f"{self.path} contains colour; expected frames of one value per pixel"
            )
        scenes = sorted({coordinates(e).get("S", 0) for e in entries})
        names = tuple(f"scene {s}" for s in scenes)
        if len(scenes) > 1:
            number = choose("position", names, selection.position, str(self.path))
            entries = [
                e for e in entries if coordinates(e).get("S", 0) == scenes[number]
            ]
            self.choices = {"position": names}
            selection = replace(selection, position=None)
        self._place(entries, selection)

    def _place(self, entries: Sequence[Any], selection: Selection) -> None:
        """Find the subblock of each plane."""
        sizes = {tuple(e.shape[-3:-1]) for e in entries}
        if len(sizes) != 1 or any(e.shape != e.stored_shape for e in entries):
            raise FormatError(
                f"{self.path} stores frames in pieces or at reduced size, which is not"
                " supported; export it as OME-TIFF"
            )
        first = axes_of(entries[0])
        counted = [a for a in first if a not in NOT_COUNTED + "S"]
        found = {
            a: sorted({coordinates(e).get(a, 0) for e in entries}) for a in counted
        }
        axes = [a for a in counted if len(found[a]) > 1]
        shape = (*[len(found[a]) for a in axes], *sizes.pop())
        layout = read_layout(
            "".join(axes) + "YX", shape, str(self.path), selection, stacks=True
        )
        self.take_layout(layout)
        self.dtype = np.dtype(entries[0].dtype)
        at: dict[tuple[int, ...], Any] = {}
        for entry in entries:
            where = coordinates(entry)
            at[tuple(found[a].index(where.get(a, 0)) for a in axes)] = entry
        self._entries: dict[tuple[int, int], Any] = {}
        for i in range(len(self)):
            frame, channel = divmod(i, self.channels)
            index = layout.index(frame, channel)
            entry = at.get(tuple(index.get(a, 0) for a in axes))
            if entry is not None:
                self._entries[frame, channel] = entry
        missing = len(self) - len(self._entries)
        if missing:
            raise FormatError(
                f"{self.path} is incomplete: {missing} of {len(self)} planes are"
                " missing. Copy it again from the microscope"
            )

    def _read_times(self) -> NDArray[np.float64] | None:
        """Return the time of each frame in seconds; None if the file has no times.

        They are read from the attached time stamps, or else from the subblocks.
        """
        with warnings.catch_warnings():  # a file without attachments is complete
            warnings.simplefilter("ignore")
            attachments = self._file.attachment_directory
        for attached in attachments:
            if attached.name == "TimeStamps":
                stamps = decode_time_stamps(
                    read_segment(attached, self._file).data(raw=True)
                )
                times = times_of_frames(stamps, self.layout)
                if times is not None:
                    return times
        seconds: list[float] = []
        for frame in range(self.layout.frames):
            segment = read_segment(self._entries[frame, 0], self._file)
            text = str(segment.metadata() or "")
            stamp = re.search(r"<AcquisitionTime>([^<]+)</AcquisitionTime>", text)
            if stamp is None:
                return None
            try:
                moment = datetime.fromisoformat(stamp[1].strip())
            except ValueError:
                return None
            seconds.append(moment.timestamp())
        return np.array(seconds)

    def plane(self, frame: int, channel: int) -> NDArray[Any]:
        """Return one plane, see `PlanesRecording.plane`."""
        entry = self._entries[frame, channel]
        try:
            content = read_segment(entry, self._file).data(raw=True)
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


def coordinates(entry: Any) -> dict[str, int]:
    """Return the index of a subblock along each axis."""
    found = dict(zip(axes_of(entry), entry.start, strict=True))
    if getattr(entry, "scene_index", -1) >= 0:
        found["S"] = entry.scene_index
    return found


def axes_of(entry: Any) -> tuple[str, ...]:
    """Return the axes of a subblock, "0" for the samples of a pixel.

    In czifile from 2026 on the axes are in ``dims``, with "S" at the end for samples,
    and the scene is stored separately; in older versions they are in ``axes``, with "S"
    for the scene.
    """
    if hasattr(entry, "dims"):
        return (*entry.dims[:-1], "0")
    return tuple(entry.axes)


def read_segment(entry: Any, file: Any) -> Any:
    """Return the segment of a directory entry, for all versions of czifile."""
    if hasattr(entry, "read_segment_data"):
        return entry.read_segment_data(file)
    return entry.data_segment()


def decode_time_stamps(content: bytes) -> NDArray[np.float64]:
    """Return the seconds in a list of time stamps: size, count, float64 values."""
    count = struct.unpack_from("<i", content, 4)[0]
    return np.frombuffer(content, "<f8", count, 8)


def decode_pixels(
    content: bytes, compression: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Decompress the pixels of a subblock.

    czifile supports only older compressions, but ZEN writes Zstandard by default:
    compression 5 is the plain stream, 6 has a header before it (its length, and whether
    low and high bytes are separated). The numbers are from the CZI format.
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
            f"the frames have an unknown compression (number {compression}); "
            "save the file uncompressed or with Zstandard in ZEN"
        )
    found = named[compression](content)
    return (
        np.frombuffer(found, dtype) if isinstance(found, bytes) else np.asarray(found)
    )


def parse_czi(xml: str, channels: int) -> Metadata:
    """Return the metadata in the XML of a CZI file, whose lengths are in metres."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:  # frames can be read without the metadata
        return Metadata()

    def number(path: str) -> float | None:
        text = root.findtext(path)
        return float(text) if text else None

    scale = {a: number(f".//Scaling/Items/Distance[@Id='{a}']/Value") for a in "XY"}
    image = ".//Metadata/Information/Image"
    interval = number(f"{image}/Dimensions/T/Positions/Interval/Increment")
    described = root.findall(f"{image}/Dimensions/Channels/Channel")
    names = tuple(c.attrib.get("Name", "") for c in described)
    return Metadata(
        pixel_size=(
            (scale["Y"] * 1e6, scale["X"] * 1e6) if scale["X"] and scale["Y"] else None
        ),
        frame_rate=1.0 / interval if interval else None,
        channel_names=names if any(names) and len(names) >= channels else (),
        acquisition_time=root.findtext(f"{image}/AcquisitionDateAndTime") or None,
    )
