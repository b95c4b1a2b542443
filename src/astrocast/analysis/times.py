"""Convert frame numbers to times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import InvalidTypeError, InvalidValueError

FrameMapping = Mapping[Any, Any] | Sequence[Any] | NDArray[Any]
FrameFunction = Callable[[Any], Any]


def add_times(
    table: pd.DataFrame, mapping: FrameMapping | None, function: FrameFunction | None
) -> pd.DataFrame:
    """Add ``t0`` and ``t1``, times of frames ``z0`` and ``z1``, and ``dt`` = t1 - t0.

    Parameters
    ----------
    table
        Events, with ``z0`` and ``z1``.
    mapping
        Time of each frame: a dict ``{frame: time}``, or a list indexed by frame.
        Missing frames are interpolated; frames before the first and after the last are
        extrapolated with the mean interval (``z1`` can be one past the last frame).
    function
        Function frame number -> time. It is ignored if a mapping is given.
    """
    if mapping is None and function is None:
        return table
    t0: Any
    t1: Any
    if mapping is not None:
        frames, times = _sort_mapping(mapping)
        t0, t1 = (
            _interpolate(table[z].to_numpy(np.float64), frames, times)
            for z in ("z0", "z1")
        )
    else:
        if not callable(function):
            raise InvalidTypeError(
                "frame_to_time_function must be a function of the frame, found"
                f" {type(function).__name__}"
            )
        t0, t1 = ([function(int(frame)) for frame in table[z]] for z in ("z0", "z1"))
    timed = table.assign(t0=t0, t1=t1)
    return timed.assign(dt=timed["t1"] - timed["t0"])


def _sort_mapping(
    mapping: FrameMapping,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return frames in increasing order and their times, both float64."""
    frames = list(mapping) if isinstance(mapping, Mapping) else range(len(mapping))
    times = list(mapping.values()) if isinstance(mapping, Mapping) else mapping
    try:
        x, y = np.asarray(frames, np.float64), np.asarray(times, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(
            "frame_to_time_mapping must contain numbers, frame and time; found"
            f" {mapping!r:.80}"
        ) from error
    order = np.argsort(x)
    x, y = x[order], y[order]
    if x.size < 2 or np.isnan(y).any() or (np.diff(y) < 0).any():
        raise InvalidValueError(
            "frame_to_time_mapping needs the times of at least two frames, not"
            f" decreasing from frame to frame; found {x.size}"
            f" frames{', with NaN or decreasing times' if x.size > 1 else ''}"
        )
    return x, y


def _interpolate(
    wanted: NDArray[np.float64], frames: NDArray[np.float64], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the time of each wanted frame; extrapolate with the mean interval."""
    interval = (times[-1] - times[0]) / (frames[-1] - frames[0])
    beyond = np.maximum(wanted - frames[-1], 0) - np.maximum(frames[0] - wanted, 0)
    return np.asarray(np.interp(wanted, frames, times) + beyond * interval, np.float64)


def one_per_recording(value: Any, count: int, name: str) -> list[Any]:
    """Return one mapping or function per recording; a single one is repeated."""
    several = isinstance(value, (list, tuple)) and any(
        v is None or callable(v) or isinstance(v, (Mapping, list, tuple, np.ndarray))
        for v in value
    )
    if not several:
        return [value] * count
    if len(value) != count:
        raise InvalidValueError(
            f"{name} has {len(value)} entries for {count} recordings; give one entry"
            " per recording, or one for all"
        )
    return list(value)
