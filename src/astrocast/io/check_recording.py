"""Check a recording when it is opened; the error lists all problems.

A valid recording contains real numbers of a dtype that NumPy, numba and HDF5 support.
Its size has to be plausible for the file and manageable on this computer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.recording import Recording
from astrocast.io.views import MappedRecording

#: largest possible factor of lossless compression; a header that states more bytes is
#: damaged
MOST_COMPRESSION = 20_000
#: the compression of smaller recordings is not checked, bytes
SMALL = 64 << 20
#: label volumes have 32-bit frame numbers
MOST_FRAMES = 2**31 - 1
#: pixels per side: coordinates fit into 32 bits, their products into 64
MOST_PIXELS = 2**24


def check_recording(recording: Recording) -> Recording:
    """Return the recording in a dtype that all stages support, or raise an error.

    float16 is converted to float32 without loss, long double to float64 (rounded to 16
    digits), because kernels are not compiled for these dtypes.

    Raises
    ------
    FormatError
        The recording is not valid; the message lists all problems.
    """
    problems = [*_size_problems(recording), *_dtype_problems(recording.dtype)]
    if problems:
        recording.close()
        name = recording.path or "the recording"
        raise FormatError(f"{name} cannot be used: {'; '.join(problems)}")
    if recording.dtype.kind == "f" and recording.dtype.itemsize not in (4, 8):
        wide = np.dtype(np.float32 if recording.dtype.itemsize < 4 else np.float64)
        channels = recording.channels
        recording = MappedRecording(recording, _Cast(wide), dtype=wide)
        recording.channels = channels
    return recording


class _Cast:
    """Convert frames to a dtype; a class, so that it can be sent to other processes."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def __call__(self, frames: NDArray[Any]) -> NDArray[Any]:
        return frames.astype(self.dtype)


def _dtype_problems(dtype: np.dtype[Any]) -> list[str]:
    if dtype.kind in "biuf" and not dtype.shape:
        return []
    return [
        f"its values are of type {dtype}; expected integers or floating-point numbers"
    ]


def _size_problems(recording: Recording) -> list[str]:
    frames, rows, columns = recording.shape
    problems = []
    if frames > MOST_FRAMES:
        problems.append(f"it has {frames} frames; at most {MOST_FRAMES} are possible")
    if max(rows, columns) > MOST_PIXELS:
        problems.append(
            f"its frames are {rows} x {columns} pixels; at most {MOST_PIXELS} a side"
            " are possible"
        )
    frame = 4 * rows * columns
    memory = psutil.virtual_memory().total
    if frame > memory / 8:
        problems.append(
            f"one frame takes {frame / 1e9:.1f} GB as float32; this computer has"
            f" {memory / 1e9:.1f} GB of memory, and about eight frames are needed"
        )
    stored = _stored_bytes(recording.path)
    if stored is not None and recording.nbytes > SMALL + MOST_COMPRESSION * stored:
        problems.append(
            f"its header states {recording.nbytes / 1e9:.1f} GB of pixels, but the file"
            f" has {stored} bytes"
        )
    return problems


def _stored_bytes(path: Path | None) -> int | None:
    """Return the size of a file; None for folders and arrays in memory."""
    if path is None or not path.is_file():
        return None
    return path.stat().st_size
