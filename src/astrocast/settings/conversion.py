"""Parameters of `astrocast.preparation.Input`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from pydantic import field_validator, model_validator

from astrocast.settings.base import Settings, parameter


def plain_numbers(value: Any) -> Any:
    """Convert NumPy numbers to Python numbers, also inside tuples, lists, arrays."""
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
        "Read block by block; False: load the whole recording first",
    )
    subtract_background: Any = parameter(
        None,
        "Background to subtract: a number, the name of a channel (which is then"
        " dropped), or a 2-D or 3-D array",
    )
    subtract_func: Literal["mean", "max", "min", "std"] | Callable[..., Any] | None = (
        parameter(
            "mean",
            "How the frames of the background are reduced to one frame: a name, or a"
            " function that is called with (frames, axis=0)",
        )
    )
    rescale: Any = parameter(
        None,
        "Size of the frames: one float or two (row, column): factors; one integer or"
        " two: final size in pixels; 1: unchanged",
    )
    dtype: Any = parameter(
        int, "dtype of the result; values outside its range are clipped"
    )
    in_memory: bool = parameter(
        False, "If no output is given: return arrays in memory instead of lazy ones"
    )
    loc_in: str | None = parameter(
        None, "Dataset to read, for formats that contain several (HDF5, zarr)"
    )
    loc_out: str = parameter("data", "Group for the written datasets ch0, ch1 ...")
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
        "Counts of the camera without light; they are subtracted from every pixel"
        " first. 'auto': the value in the file's metadata if there is one, else an"
        " estimate from dark frames. Without the subtraction dF/F is too small",
        unit="counts",
    )
    other_files: bool = parameter(
        False,
        "Allow an HDF5 file that refers to pixels in other files (links, virtual"
        " datasets, external storage)",
    )
    missing_chunks: bool = parameter(
        False, "Replace missing chunks of a zarr or HDF5 store by its fill value"
    )
    plane: int | str | None = parameter(
        None, "Plane (depth) to read if the file has several, counted from 0"
    )
    position: int | str | None = parameter(
        None,
        "Position, series or scene to read if the file has several: its name, or its"
        " number counted from 0",
    )
    channel: int | str | None = parameter(
        None,
        "The only channel to read, if the file names its channels: a name, or a number"
        " counted from 0; none: read as many as `channels` says",
    )
    axes: str | None = parameter(
        None,
        "Axes of the array in order, if the file does not name them: T time, C channel,"
        " Z plane, P position, Y row, X column, for example TZYX",
    )
    missing: Literal["refuse", "blank", "close"] = parameter(
        "refuse",
        "If the numbers in the file names of a folder show that frames are missing:"
        " refuse the recording, insert blank frames, or close the gaps (later frames"
        " then get wrong times)",
    )
    nan_border: Literal["keep", "crop", "fill"] = parameter(
        "keep",
        "Pixels that are NaN, for example at the border of a registered recording: keep"
        " them (float types only), crop frames to the largest rectangle without NaN, or"
        " fill them with the mean of the frame",
    )
    check_channels: bool = parameter(
        True,
        "Refuse to read a recording as one channel if its even and odd frames look like"
        " two channels; off: read it as one channel",
    )

    @model_validator(mode="after")
    def _check_reduction(self) -> Self:
        if self.subtract_func is None and self.subtract_background is not None:
            raise ValueError(
                "subtract_func is None, but it is needed to subtract a background: give"
                " 'mean', 'max', 'min', 'std' or a function"
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
                raise ValueError("expected at least 1 channel")
        elif (
            sorted(value) != list(range(len(value)))
            or not value
            or len(set(value.values())) < len(value)
        ):
            raise ValueError(
                "expected a different name for each channel, numbered from 0:"
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
            return None  # unchanged
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
