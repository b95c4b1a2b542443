"""Crop or fill NaN pixels, such as other programs leave at the border of a movie."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import AstrocastWarning, InvalidValueError, stack_level
from astrocast.io.views import CroppedRecording, MappedRecording
from astrocast.kernels.frames.invalid import fill_invalid, largest_rectangle
from astrocast.preparation.channels import Conversion

#: frames that are read at a time to find NaN pixels
CROP_FRAMES = 64


def replace_invalid(channel: Conversion, how: str) -> Conversion:
    """Return the channel without NaN or infinite pixels: cropped or filled.

    Parameters
    ----------
    channel
        The channel.
    how
        ``keep`` returns the channel unchanged; ``crop`` reads the recording once and
        crops it to the largest rectangle whose pixels are finite in all frames;
        ``fill`` replaces each invalid pixel by the mean of the finite pixels of its
        frame.

    Raises
    ------
    InvalidValueError
        ``crop`` would remove more than half of the pixels.
    """
    recording = channel.recording
    if how == "keep" or recording.dtype.kind != "f":
        return channel
    if how == "fill":
        kind = recording.dtype

        def fill(frames: NDArray[Any]) -> NDArray[Any]:
            return fill_invalid(frames)[0].astype(kind, copy=False)

        return replace(channel, recording=MappedRecording(recording, fill))
    finite = np.ones(recording.shape[1:], bool)
    for _, block in recording.blocks(CROP_FRAMES):
        finite &= np.isfinite(block).all(axis=0)
    rows, columns = largest_rectangle(finite)
    kept = (rows.stop - rows.start) * (columns.stop - columns.start)
    if 2 * kept < finite.size:
        raise InvalidValueError(
            f"{int((~finite).sum())} of {finite.size} pixels are NaN or infinite in at"
            f" least one frame; the largest rectangle without them has {kept} pixels,"
            " less than half of the frame. Use nan_border='fill' instead, or leave out"
            " the frames that consist of NaN with z_slice"
        )
    cropped = CroppedRecording(recording, rows, columns)
    if kept < finite.size:
        text = (
            f"{channel.name}: cropped to rows {rows.start} to {rows.stop - 1} and"
            f" columns {columns.start} to {columns.stop - 1}: pixels outside are NaN in"
            " at least one frame"
        )
        warnings.warn(text, AstrocastWarning, stacklevel=stack_level())
        cropped.remarks = (*cropped.remarks, text)
    return replace(channel, recording=cropped)
