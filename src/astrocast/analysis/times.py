"""From frame numbers to times."""

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
    """Return the table with columns ``t0``, ``t1`` (times of the frames ``z0`` and
    ``z1``) and ``dt`` = t1 - t0.

    Parameters
    ----------
    table
        Events, with ``z0`` and ``z1``.
    mapping
        Time of each frame: a dict ``{frame: time}``, or a list whose position is the
        frame. Frames between known ones are interpolated; frames beyond them continue
        at the mean interval (``z1`` is one past the last frame).
    function
        Called with a frame number, returns its time. The mapping goes before the
        function when both are given.
    """
    if mapping is None and function is None:
        return table
    t0: Any
    t1: Any
    if mapping is not None:
        known, times = _known(mapping)
        t0, t1 = (
            _interpolated(table[z].to_numpy(np.float64), known, times)
            for z in ("z0", "z1")
        )
    else:
        if not callable(function):
            raise InvalidTypeError(
                "frame_to_time_function is a function of the frame, got"
                f" {type(function).__name__}"
            )
        t0, t1 = ([function(int(frame)) for frame in table[z]] for z in ("z0", "z1"))
    timed = table.assign(t0=t0, t1=t1)
    return timed.assign(dt=timed["t1"] - timed["t0"])


def _known(mapping: FrameMapping) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    frames = list(mapping) if isinstance(mapping, Mapping) else range(len(mapping))
    times = list(mapping.values()) if isinstance(mapping, Mapping) else mapping
    try:
        x, y = np.asarray(frames, np.float64), np.asarray(times, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(
            "frame_to_time_mapping holds numbers, frame and time; found"
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


def _interpolated(
    frames: NDArray[np.float64], known: NDArray[np.float64], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    interval = (times[-1] - times[0]) / (known[-1] - known[0])
    beyond = np.maximum(frames - known[-1], 0) - np.maximum(known[0] - frames, 0)
    return np.asarray(np.interp(frames, known, times) + beyond * interval, np.float64)


def one_per_recording(value: Any, count: int, name: str) -> list[Any]:
    """Return a mapping or function for each of ``count`` recordings; one that is not a
    list of them serves all.
    """
    several = isinstance(value, (list, tuple)) and any(
        v is None or callable(v) or isinstance(v, (Mapping, list, tuple, np.ndarray))
        for v in value
    )
    if not several:
        return [value] * count
    if len(value) != count:
        raise InvalidValueError(
            f"{name} has {len(value)} entries for {count} recordings; give one each, or"
            " one for all"
        )
    return list(value)
