"""One check of a recording when it is opened, which names everything that is wrong.

What passes is a recording of real numbers that NumPy, numba and HDF5 compute with, of a
size that its file can hold and this computer can work on.
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

#: no lossless compression gains more on pictures; a header that claims more bytes than
#: this times the size of the file is damaged
MOST_COMPRESSION = 20_000
#: smaller recordings are not checked
SMALL = 64 << 20
#: frame numbers are counted in 32 bits in label volumes
MOST_FRAMES = 2**31 - 1
#: pixels of a side: coordinates fit into 32 bits, and their products into 64
MOST_PIXELS = 2**24


def check_recording(recording: Recording) -> Recording:
    """Return the recording as all stages can use it, or refuse it.

    float16 is read as float32 and long double as float64: no kernel is compiled for
    them, and the values are the same (float16) or rounded to 16 digits.

    Raises
    ------
    FormatError
        Everything that is wrong with it, in one message.
    """
    problems = [*_size_problems(recording), *_dtype_problems(recording.dtype)]
    if problems:
        recording.close()
        name = recording.path or "the recording"
        raise FormatError(f"{name} cannot be worked with: {'; '.join(problems)}")
    if recording.dtype.kind == "f" and recording.dtype.itemsize not in (4, 8):
        wide = np.dtype(np.float32 if recording.dtype.itemsize < 4 else np.float64)
        channels = recording.channels
        recording = MappedRecording(recording, _Cast(wide), dtype=wide)
        recording.channels = channels
    return recording


class _Cast:
    """Converts frames; a class, so that it can be sent to another process."""

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
            f"its header claims {recording.nbytes / 1e9:.1f} GB of pixels, the file has"
            f" {stored} bytes"
        )
    return problems


def _stored_bytes(path: Path | None) -> int | None:
    """Return the size of a file; None for folders and arrays in memory."""
    if path is None or not path.is_file():
        return None
    return path.stat().st_size
