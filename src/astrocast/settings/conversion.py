"""Parameters of `astrocast.preparation.Input`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from pydantic import field_validator, model_validator

from astrocast.settings.base import Settings, parameter


def plain_numbers(value: Any) -> Any:
    """Return NumPy numbers, also inside tuples, lists, arrays, as Python numbers."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return tuple(value.tolist())
    if isinstance(value, (tuple, list)):
        return type(value)(plain_numbers(v) for v in value)
    if isinstance(value, dict):
        return {plain_numbers(k): v for k, v in value.items()}
    return value


class ConversionSettings(Settings):
    """How a recording is read, prepared and stored."""

    sep: str = parameter(
        "_",
        "Files of a folder are sorted by the number after the last separator in their"
        " names",
    )
    channels: int | dict[int, str] = parameter(
        1,
        "Number of interleaved channels, or the name of the output dataset of each: {0:"
        " 'gcamp', 1: 'red'}",
    )
    z_slice: tuple[int, int] | None = parameter(
        None, "Frames of the file to convert: first, and last + 1", unit="frames"
    )
    lazy: bool = parameter(
        True,
        "Read block by block; False loads the whole recording before anything else",
    )
    subtract_background: Any = parameter(
        None,
        "Background to subtract: a number, the name of a channel (which is then"
        " dropped), or a 2-D or 3-D array",
    )
    subtract_func: Literal["mean", "max", "min", "std"] | Callable[..., Any] | None = (
        parameter(
            "mean",
            "How the frames of the background become one frame: a name, or a function"
            " called with (frames, axis=0)",
        )
    )
    rescale: Any = parameter(
        None,
        "Size of the frames: a float or two (row, column) is a factor, an integer or"
        " two the final size in pixels; 1 leaves the size as it is",
    )
    dtype: Any = parameter(
        int, "dtype of the result; values beyond its range become its nearest value"
    )
    in_memory: bool = parameter(
        False, "Without an output, return arrays in memory instead of lazy ones"
    )
    loc_in: str | None = parameter(
        None, "Dataset to read from formats that hold several (HDF5, zarr)"
    )
    loc_out: str = parameter(
        "data", "Group of the datasets ch0, ch1 ... that are written"
    )
    chunk_strategy: Literal["balanced", "XY", "Z"] = parameter(
        "balanced", "How the result is cut into chunks"
    )
    chunks: tuple[int, int, int] | None = parameter(
        None, "Shape of a chunk (frame, row, column); overrides the strategy"
    )
    compression: Literal["gzip", "szip", "lz4", "lzf", "zstd"] | None = parameter(
        None, "Compression of the chunks"
    )

    offset: float | Literal["auto"] | None = parameter(
        None,
        "Counts of the camera in the dark, subtracted from every pixel before anything"
        " else; 'auto' takes the microscope's measurement, where the file says it, or"
        " estimates it from dark frames. Without it dF/F is too small",
        unit="counts",
    )
    other_files: bool = parameter(
        False,
        "Read pixels that an HDF5 file takes from other files (links, virtual datasets,"
        " external storage)",
    )
    missing_chunks: bool = parameter(
        False, "Read chunks that are not in a zarr or HDF5 store as its fill value"
    )
    plane: int | str | None = parameter(
        None, "Plane (depth) to read where the file has several, counted from 0"
    )
    position: int | str | None = parameter(
        None,
        "Position, series or scene to read where the file has several: its name, or its"
        " number counted from 0",
    )
    channel: int | str | None = parameter(
        None,
        "The only channel to read where the file names several: its name, or its number"
        " counted from 0; none: all, as many as `channels`",
    )
    axes: str | None = parameter(
        None,
        "Names of the axes of an array where the file does not name them, in its order:"
        " T time, C channel, Z plane, P position, Y row, X column, for example TZYX",
    )
    missing: Literal["refuse", "blank", "close"] = parameter(
        "refuse",
        "What becomes of frames that the numbers in the names of a folder's files show"
        " to be missing: refuse the recording, read them as blank frames, or close the"
        " gaps (which moves the times after them)",
    )
    nan_border: Literal["keep", "crop", "fill"] = parameter(
        "keep",
        "What becomes of pixels that are not numbers, as at the border of a registered"
        " recording: keep them (float types only), crop frames to the largest rectangle"
        " of numbers, or fill them with the mean of their frame",
    )
    check_channels: bool = parameter(
        True,
        "Refuse a recording of which even and odd frames look like two channels when it"
        " is read as one; off: read it as one",
    )

    @model_validator(mode="after")
    def _check_reduction(self) -> Self:
        if self.subtract_func is None and self.subtract_background is not None:
            raise ValueError(
                "subtract_func is None, but a background is subtracted: give 'mean',"
                " 'max', 'min', 'std' or a function"
            )
        return self

    @field_validator("channels", "z_slice", "rescale", "chunks", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return plain_numbers(value)

    @field_validator("channels")
    @classmethod
    def _channels(cls, value: int | dict[int, str]) -> int | dict[int, str]:
        if isinstance(value, int):
            if value < 1:
                raise ValueError("at least one channel is needed")
        elif (
            sorted(value) != list(range(len(value)))
            or not value
            or len(set(value.values())) < len(value)
        ):
            raise ValueError(
                "a name for each channel is expected, numbered from 0, all different:"
                " {0: 'a', 1: 'b'}"
            )
        return value

    @field_validator("dtype")
    @classmethod
    def _dtype(cls, value: Any) -> Any:
        try:
            kind = np.dtype(value).kind
        except TypeError:
            kind = "?"
        if kind not in "iuf":
            raise ValueError(
                "expected an integer or float type, for example 'uint16' or 'float32'"
            )
        return value

    @field_validator("rescale")
    @classmethod
    def _rescale(cls, value: Any) -> Any:
        if value is None:
            return value
        if value == 1 and isinstance(value, int) and not isinstance(value, bool):
            return None  # the size as it is
        values = value if isinstance(value, (tuple, list)) else (value,)
        kinds = {type(v) for v in values}
        if (
            isinstance(value, bool)
            or len(values) > 2
            or not (kinds == {int} or kinds == {float})
        ):
            raise ValueError(
                "expected one or two floats (factors) or one or two integers (pixels),"
                " not mixed"
            )
        if min(values) <= 0:
            raise ValueError("expected numbers above 0")
        return tuple(values) * (2 if len(values) == 1 else 1)
