"""Read the metadata of ImageJ files: calibration, frame interval, pixel size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.formats.tiff_metadata import pair, rate, resolution_tags
from astrocast.io.recording import Metadata

#: functions of ImageJ's `Calibrate...` that do not change values: none, and optical
#: density without calibration
NOT_CALIBRATED = (20, 21)
STRAIGHT_LINE, LAST_POLYNOMIAL = 0, 3


def describe_imagej(file: tifffile.TiffFile, channels: int) -> Metadata:
    """Return the physical metadata of an ImageJ file.

    ``finterval`` is the time between frames. ``fps`` is not read: it is the speed at
    which ImageJ plays the movie, not the frame rate of the recording.
    """
    known = file.imagej_metadata or {}
    labels = [str(label) for label in known.get("Labels", [])][:channels]
    return Metadata(
        pixel_size=pair(*resolution_tags(file, str(known.get("unit", "")))),
        frame_rate=rate(known.get("finterval"), known.get("tunit", "s")),
        channel_names=(
            tuple(labels) if channels > 1 and len(labels) == channels else ()
        ),
    )


def read_calibration(
    file: tifffile.TiffFile, stored: np.dtype[Any]
) -> tuple[np.dtype[Any], Callable[[NDArray[Any]], NDArray[Any]]] | None:
    """Return dtype and function of the calibrated values; None without calibration.

    ImageJ has no signed 16-bit pixels: it adds 32768, stores unsigned values, and
    describes this by the line ``c0 = -32768, c1 = 1``.

    Parameters
    ----------
    file
        Open ImageJ file.
    stored
        dtype of the pixels.
    """
    known = file.imagej_metadata or {}
    terms: list[float] = []
    while f"c{len(terms)}" in known:
        terms.append(float(known[f"c{len(terms)}"]))
    kind = int(known.get("cf", STRAIGHT_LINE))
    if not terms or kind in NOT_CALIBRATED or terms == [0.0, 1.0]:
        return None
    if kind > LAST_POLYNOMIAL:
        raise FormatError(
            f"{file.filename} is calibrated with function {kind} of ImageJ; only a line"
            " or a polynomial is supported. Convert it to 32 bit in ImageJ, which"
            " applies the calibration"
        )
    if kind == STRAIGHT_LINE and terms[1:] == [1.0] and _keeps_signed(terms[0], stored):
        return np.dtype(np.int16), signed_from_unsigned
    return np.dtype(np.float32), lambda frames: apply_polynomial(frames, terms)


def _keeps_signed(offset: float, stored: np.dtype[Any]) -> bool:
    return offset == -32768.0 and stored == np.uint16


def signed_from_unsigned(frames: NDArray[Any]) -> NDArray[np.int16]:
    """Return unsigned 16-bit values minus 32768, int16 of the same shape.

    Examples
    --------
    >>> signed_from_unsigned(np.array([0, 32768, 65535], np.uint16)).tolist()
    [-32768, 0, 32767]
    """
    return np.bitwise_xor(frames, np.uint16(32768)).view(np.int16)


def apply_polynomial(frames: NDArray[Any], terms: list[float]) -> NDArray[np.float32]:
    """Return c0 + c1 x + c2 x² ... of each value x, float32 of the same shape."""
    powers = np.polynomial.polynomial.polyval(frames.astype(np.float64), terms)
    return np.asarray(powers, np.float32)
