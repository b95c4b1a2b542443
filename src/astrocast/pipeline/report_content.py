"""Content of a report, and the format of its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from astrocast.errors import InvalidValueError
from astrocast.runtime.provenance import plain


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportContent:
    """Content of a report.

    All fields except name and shape can be missing; the report then says so.

    Parameters
    ----------
    name
        Name of the recording.
    shape
        (frames, rows, columns).
    dtype
        dtype of the recording, as text.
    frame_rate
        Hz; None: times are given in frames.
    pixel_size
        Micrometres per pixel, one number or (row, column); None: lengths are given in
        pixels.
    signal
        Name and unit of the traces of events, for labels: ``"dF (counts)"``.
    created
        Date and time of the run, as text.
    projections
        Name -> image (row, column). ``"max"`` is the background of the footprints.
    onset_map
        (row, column), frame in which the event at this pixel began; NaN without event.
    outlines
        Event id -> closed outline, (points, 2) as (row, column); drawn over the onset
        map if both are given.
    events
        The event table (see `astrocast.events.schema`), indexed by event number; None
        if no detection was run, an empty table if no event was detected.
    mean_trace
        (frames,), mean over the pixels of each frame of dF.
    shifts
        (frames, 2) in pixels, row then column.
    registration
        Name -> (frames,), correlation of each frame with the template: ``{"before":
        ..., "after": ...}``.
    registration_summary
        Name -> number, such as the crispness of the mean image before and after.
    bad_frames
        Numbers of the frames that could not be registered well.
    fluorescence, baseline
        (frames,), mean over the pixels of each frame: before bleach correction, and of
        the background.
    score
        Name -> value: scores against the known events of a simulation.
    quality
        Name -> number: measures of the denoising
        (`astrocast.kernels.denoising.denoise_quality.Quality`); None without denoising.
    parameters
        Stage -> parameter -> value.
    stages
        Stage -> ``{"seconds": ..., "peak_memory_mb": ...}``.
    input
        Name -> value: path, content hash and so on.
    versions
        Package -> version.
    warnings
        Warnings of the stages, one sentence each.
    frame_quality
        The table of bad frames, see `astrocast.io.stores.frame_quality`; None if it
        was not computed.
    channel
        Name of the channel if the run has several; "" otherwise.
    coincidences
        Pairs of events of different channels that coincide, see
        `astrocast.pipeline.coincidence`.
    """

    name: str
    shape: tuple[int, int, int]
    dtype: str = ""
    frame_rate: float | None = None
    pixel_size: float | tuple[float, float] | None = None
    signal: str = "dF"
    created: str = ""
    projections: Mapping[str, ArrayLike] = field(default_factory=dict)
    onset_map: ArrayLike | None = None
    outlines: Mapping[int, ArrayLike] | None = None
    events: pd.DataFrame | None = None
    mean_trace: ArrayLike | None = None
    shifts: ArrayLike | None = None
    registration: Mapping[str, ArrayLike] = field(default_factory=dict)
    registration_summary: Mapping[str, float] = field(default_factory=dict)
    bad_frames: Sequence[int] = ()
    fluorescence: ArrayLike | None = None
    baseline: ArrayLike | None = None
    score: Mapping[str, float] | None = None
    quality: Mapping[str, float | None] | None = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stages: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    input: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    frame_quality: pd.DataFrame | None = None
    channel: str = ""
    coincidences: pd.DataFrame | None = None


def number(value: Any, digits: int = 3) -> str:
    """Return a number as text: grouped thousands, few digits, a dash for NaN or None.

    >>> number(12345), number(0.123456), number(float("nan")), number(2.0)
    ('12,345', '0.123', '–', '2')
    """
    if value is None or (
        isinstance(value, float | np.floating) and not np.isfinite(value)
    ):
        return "–"  # noqa: RUF001 - an en dash is the usual sign for a missing number
    if isinstance(value, int | np.integer) or float(value).is_integer():
        return f"{int(value):,}"
    if abs(value) >= 10.0**digits:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def duration_text(seconds: float) -> str:
    """Return a duration as text, in seconds, minutes and hours.

    >>> duration_text(0.5), duration_text(100), duration_text(7200)
    ('0.5 s', '1 min 40 s', '2 h')
    """
    if not np.isfinite(seconds):
        raise InvalidValueError(
            f"the duration is {seconds}; expected a finite number of seconds"
        )
    if seconds < 60:
        return f"{number(float(seconds))} s"
    rounded = round(seconds)
    parts = ((rounded // 3600, "h"), (rounded // 60 % 60, "min"), (rounded % 60, "s"))
    return " ".join(f"{value} {unit}" for value, unit in parts if value)


def as_text(value: Any) -> str:
    """Return the value of a parameter as text, like YAML without quotes.

    >>> as_text((1, 2)), as_text("a"), as_text(None), as_text(True)
    ('[1, 2]', 'a', 'null', 'true')
    """
    found = plain(value)
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
