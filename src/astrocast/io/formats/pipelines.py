"""Registered movies of other analysis packages: suite2p's binary, CaImAn's memory map.

The layouts follow the packages' documentation. Nothing is unpickled.
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

#: numbers that are read out of suite2p's settings
OPS = ("Ly", "Lx", "fs", "nframes")


def open_suite2p(
    path: Path, loc: str | None = None, selection: Selection | None = None
) -> Recording:
    """Open ``data.bin`` of suite2p: int16 (frame, row, column); size in ``ops.npy``."""
    ops = path.with_name("ops.npy")
    if not ops.exists():
        raise FormatError(
            f"{path} is plain bytes, and ops.npy, which says the size of its frames, is"
            " not beside it; copy it there (expected a data.bin of suite2p)"
        )
    known = read_pickled_numbers(ops)
    if not {"Ly", "Lx"} <= set(known):
        raise FormatError(
            f"{ops} does not hold Ly and Lx as plain numbers, so that the size of the"
            f" frames of {path.name} is not known; export the movie as TIFF"
        )
    rows, columns = int(known["Ly"]), int(known["Lx"])
    frame, size = rows * columns * 2, path.stat().st_size
    if frame <= 0 or size == 0 or size % frame:
        raise FormatError(
            f"{path} has {size} bytes, not a whole number of frames of {rows} x"
            f" {columns} pixels (int16); it is truncated, or of another ops.npy"
        )
    frames = size // frame
    if known.get("nframes") not in (None, frames):
        raise FormatError(
            f"{path} has {frames} frames, {ops.name} says {int(known['nframes'])}: it"
            " is truncated, or of another ops.npy"
        )
    metadata = Metadata(frame_rate=float(known["fs"]) if known.get("fs") else None)
    return ContiguousRecording(
        path, 0, (frames, rows, columns), np.dtype("<i2"), metadata
    )


def read_pickled_numbers(path: Path) -> dict[str, float]:
    """Return the plain numbers of a pickled dictionary, without unpickling it.

    The instructions of the pickle are listed, not carried out: a name that is followed
    by an integer or a float is an entry.
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
    """Open a memory map of CaImAn; its file name has size, order and frames."""
    fields: dict[str, Any] = dict(
        re.findall(r"(?:^|_)(d1|d2|d3|frames|order)_([0-9]+|[CF])(?=_|$)", path.stem)
    )
    if not {"d1", "d2", "frames", "order"} <= set(fields):
        raise FormatError(
            f"{path} does not have its size in its name; expected a map of CaImAn"
            " (..._d1_512_d2_512_d3_1_order_C_frames_1000.mmap)"
        )
    d1, d2, d3, frames = (int(fields.get(k, 1)) for k in ("d1", "d2", "d3", "frames"))
    need, size = d1 * d2 * d3 * frames * 4, path.stat().st_size
    if size != need:
        raise FormatError(
            f"{path} has {size} bytes, {frames} frames of {d1} x {d2} x {d3} pixels"
            f" (float32) are {need}; it is truncated, or was renamed"
        )
    # pixels of a frame are in Fortran order: rows vary fastest
    if fields["order"] == "F":
        shape, axes = (frames, d3, d2, d1), "TZXY"
    else:
        shape, axes = (d3, d2, d1, frames), "ZXYT"
    array = np.memmap(path, "<f4", "r", shape=shape)
    return AxesRecording(array, axes, selection or Selection(), path=path)
