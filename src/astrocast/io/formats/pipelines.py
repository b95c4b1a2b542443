"""Read registered movies of other packages: binary of suite2p, memory map of CaImAn.

The layouts are from the documentation of the packages. Nothing is unpickled.
"""

from __future__ import annotations

import pickletools
import re
from pathlib import Path
from typing import Any

import numpy as np

from astrocast.errors import FormatError
from astrocast.io.formats.axes_recording import AxesRecording
from astrocast.io.formats.contiguous import ContiguousRecording
from astrocast.io.recording import Metadata, Recording
from astrocast.io.selection import Selection

#: numbers that are read from the settings of suite2p
OPS = ("Ly", "Lx", "fs", "nframes")


def open_suite2p(
    path: Path, loc: str | None = None, selection: Selection | None = None
) -> Recording:
    """Open ``data.bin`` of suite2p: int16 (frame, row, column); size in ``ops.npy``."""
    ops = path.with_name("ops.npy")
    if not ops.exists():
        raise FormatError(
            f"{path} has no header, and ops.npy with the size of its frames is missing"
            " beside it; copy it there (expected a data.bin of suite2p)"
        )
    known = read_pickled_numbers(ops)
    if not {"Ly", "Lx"} <= set(known):
        raise FormatError(
            f"{ops} does not contain Ly and Lx as plain numbers, so the size of the"
            f" frames of {path.name} is not known; export the movie as TIFF"
        )
    rows, columns = int(known["Ly"]), int(known["Lx"])
    frame, size = rows * columns * 2, path.stat().st_size
    if frame <= 0 or size == 0 or size % frame:
        raise FormatError(
            f"{path} has {size} bytes, which is not a whole number of frames of {rows}"
            f" x {columns} pixels (int16); it is truncated, or ops.npy is from another"
            " movie"
        )
    frames = size // frame
    if known.get("nframes") not in (None, frames):
        raise FormatError(
            f"{path} has {frames} frames, but {ops.name} states"
            f" {int(known['nframes'])}: it is truncated, or ops.npy is from another"
            " movie"
        )
    metadata = Metadata(frame_rate=float(known["fs"]) if known.get("fs") else None)
    return ContiguousRecording(
        path, 0, (frames, rows, columns), np.dtype("<i2"), metadata
    )


def read_pickled_numbers(path: Path) -> dict[str, float]:
    """Return the plain numbers of a pickled dictionary, without unpickling it.

    The instructions of the pickle are listed, not executed; a name followed by an
    integer or a float is an entry.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            np.lib.format.read_array_header_1_0(file)
        else:
            np.lib.format.read_array_header_2_0(file)
        content = file.read()
    found: dict[str, float] = {}
    name: str | None = None
    for code, value, _ in pickletools.genops(content):
        if code.name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            continue
        if (
            name in OPS
            and isinstance(value, (int, float))
            and (code.name.startswith(("BININT", "BINFLOAT", "LONG1")))
        ):
            found.setdefault(name, float(value))
        name = value if "UNICODE" in code.name else None
    return found


def open_caiman(
    path: Path, loc: str | None = None, selection: Selection | None = None
) -> Recording:
    """Open a memory map of CaImAn; its file name contains size, order and frames."""
    fields: dict[str, Any] = dict(
        re.findall(r"(?:^|_)(d1|d2|d3|frames|order)_([0-9]+|[CF])(?=_|$)", path.stem)
    )
    if not {"d1", "d2", "frames", "order"} <= set(fields):
        raise FormatError(
            f"{path} has no size in its name; expected a memory map of CaImAn"
            " (..._d1_512_d2_512_d3_1_order_C_frames_1000.mmap)"
        )
    d1, d2, d3, frames = (int(fields.get(k, 1)) for k in ("d1", "d2", "d3", "frames"))
    need, size = d1 * d2 * d3 * frames * 4, path.stat().st_size
    if size != need:
        raise FormatError(
            f"{path} has {size} bytes, but {frames} frames of {d1} x {d2} x {d3} pixels"
            f" (float32) need {need}; it is truncated, or was renamed"
        )
    # the pixels of a frame are in Fortran order: the row index varies fastest
    if fields["order"] == "F":
        shape, axes = (frames, d3, d2, d1), "TZXY"
    else:
        shape, axes = (d3, d2, d1, frames), "ZXYT"
    array = np.memmap(path, "<f4", "r", shape=shape)
    return AxesRecording(array, axes, selection or Selection(), path=path)
