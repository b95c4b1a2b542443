"""Compute signals and columns recording by recording, with the result cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis.cache import ResultCache, table_hash
from astrocast.analysis.maps import open_map
from astrocast.analysis.measurements import physiology_columns as columns
from astrocast.analysis.measurements import signals
from astrocast.analysis.measurements.physiology_columns import Calibration
from astrocast.analysis.sources import Source, map_recordings
from astrocast.analysis.trace_formats import TRACE_START
from astrocast.analysis.video import Video
from astrocast.errors import RecordingNotFoundError
from astrocast.events.array_columns import TraceArray
from astrocast.kernels.ragged import ragged
from astrocast.kernels.traces.traces import Windows
from astrocast.runtime.provenance import content_hash
from astrocast.settings.analysis import (
    ExtensionSettings,
    PhysiologySettings,
    SurroundingsSettings,
)


def extend_by_recording(
    table: pd.DataFrame,
    sources: Sequence[Source],
    settings: ExtensionSettings,
    cache: ResultCache,
) -> pd.DataFrame:
    """Return the table with extended traces, see `Events.extend`."""

    def extend(part: pd.DataFrame, source: Source) -> pd.DataFrame:
        video = signals.need_video(source.video, "extending traces")

        def compute() -> dict[str, Any]:
            extended = signals.extend_traces(part, video, settings)
            return _to_arrays(
                {
                    "trace": extended["trace"].array,
                    TRACE_START: extended[TRACE_START].to_numpy(),
                }
            )

        inputs = {
            "settings": settings.model_dump(),
            "recording": source.name,
            "table": partial(table_hash, part),
            "video": partial(_video_hash, video),
        }
        return part.assign(**_to_columns(cache.arrays("extend", inputs, compute)))

    return map_recordings(table, sources, extend)


def noise_by_recording(
    table: pd.DataFrame,
    sources: Sequence[Source],
    settings: SurroundingsSettings,
    cache: ResultCache,
) -> TraceArray:
    """Return the noise trace of each event, see `Events.noise_traces`."""

    def read_noise(part: pd.DataFrame, source: Source) -> pd.DataFrame:
        video = signals.need_video(source.video, "the noise around events")

        def compute() -> dict[str, Any]:
            try:
                with open_map(source.directory, source.z_slice) as labels:
                    noise = signals.ring_traces(part, video, labels, settings)
            except RecordingNotFoundError:
                # without an event map, pixels of other events cannot be left out
                noise = signals.ring_traces(part, video, None, settings)
            return _to_arrays({"noise": noise})

        inputs = {
            "settings": settings.model_dump(),
            "recording": source.name,
            "table": partial(table_hash, part),
            "video": partial(_video_hash, video),
            "map": partial(_map_hash, source),
        }
        return pd.DataFrame(
            _to_columns(cache.arrays("noise", inputs, compute)), index=part.index
        )

    noise = map_recordings(table, sources, read_noise)["noise"].array
    assert isinstance(noise, TraceArray)
    return noise


def physiology_by_recording(
    table: pd.DataFrame,
    sources: Sequence[Source],
    settings: PhysiologySettings,
    *,
    calibration: tuple[Any, float | None],
    background: Any,
    landmarks: Mapping[str, Any],
    cache: ResultCache,
) -> pd.DataFrame:
    """Return the physiological columns, see `Events.physiology`."""
    f0_video = Video(background) if background is not None else None

    def describe(part: pd.DataFrame, source: Source) -> pd.DataFrame:
        size, rate = calibration
        used = Calibration.of(
            source.metadata.pixel_size if size is None else size,
            source.metadata.frame_rate if rate is None else rate,
        )
        inputs = {
            "settings": settings.model_dump(),
            "recording": source.name,
            "table": partial(table_hash, part),
            "calibration": [used.pixel, used.frame],
            "shape": source.shape,
            "landmarks": {
                name: np.asarray(value).tolist() for name, value in landmarks.items()
            },
            "video": partial(_video_hash, source.video if settings.context else None),
            "background": partial(_video_hash, f0_video),
        }
        compute = partial(
            _physiology_arrays, part, source, settings, used, f0_video, landmarks
        )
        return pd.DataFrame(
            _to_columns(cache.arrays("physiology", inputs, compute)), index=part.index
        )

    return map_recordings(table, sources, describe)


def _physiology_arrays(
    part: pd.DataFrame,
    source: Source,
    settings: PhysiologySettings,
    calibration: Calibration,
    f0_video: Video | None,
    landmarks: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the physiological columns of one recording as plain arrays."""
    with_context = part
    if settings.context:
        video = signals.need_video(
            source.video, "using frames before and after events (context)"
        )
        with_context = signals.extend_traces(
            part, video, ExtensionSettings(frames=settings.context)
        )
    f0 = None if f0_video is None else _mean_f0(part, f0_video)
    out = columns.time_columns(with_context, calibration, settings, f0)
    out |= columns.shape_columns(part, calibration)
    out |= columns.propagation_columns(part, calibration)
    out |= columns.neighbour_columns(part, source.shape[1:], settings)
    out |= columns.landmark_columns(part, landmarks, calibration)
    return _to_arrays(out)


def _mean_f0(part: pd.DataFrame, f0_video: Video) -> NDArray[np.float64]:
    """Return the mean background over each event's footprint and frames, float64."""
    signals.check_extent(part, f0_video)
    z0, z1 = (part[z].to_numpy(np.int64) for z in ("z0", "z1"))
    windows = Windows(z0, ragged.offsets_of(z1 - z0))
    (values,) = signals.mean_traces(
        f0_video, [(signals.event_pixels(part, f0_video.shape[1:]), windows)]
    )
    return ragged.reduce_each(values, windows.offsets, "mean")


def _video_hash(video: Video | None) -> str | None:
    """Return a hash of a recording's content and its first frame; None without one."""
    if video is None:
        return None
    with video.open() as recording:
        return f"{content_hash(recording)}@{video.first_frame}"


def _map_hash(source: Source) -> str | None:
    """Return a hash of the event map's content; None without a map."""
    try:
        with open_map(source.directory, source.z_slice) as labels:
            return content_hash(labels)
    except RecordingNotFoundError:
        return None


def _to_arrays(table_columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns as plain arrays, as the cache stores them."""
    out: dict[str, Any] = {}
    for name, column in table_columns.items():
        if isinstance(column, TraceArray):
            out[f"{name}|flat"], out[f"{name}|offsets"] = column.flat, column.offsets
        else:
            out[name] = np.asarray(column)
    return out


def _to_columns(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns from which `_to_arrays` made the arrays."""
    return {
        name.removesuffix("|flat"): (
            TraceArray(array, arrays[name.replace("|flat", "|offsets")])
            if name.endswith("|flat")
            else array
        )
        for name, array in arrays.items()
        if not name.endswith("|offsets")
    }
