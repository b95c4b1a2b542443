"""What is measured on events recording by recording, kept in a cache, and put together
again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis import groups
from astrocast.analysis.maps import open_map, read_map
from astrocast.analysis.measurements import physiology_columns as columns
from astrocast.analysis.measurements import signals
from astrocast.analysis.measurements.physiology_columns import Calibration
from astrocast.analysis.sources import Source
from astrocast.analysis.trace_formats import TRACE_START
from astrocast.analysis.video import Video
from astrocast.errors import InvalidValueError, NotRunError, RecordingNotFoundError
from astrocast.events.array_columns import TraceArray
from astrocast.kernels.ragged import ragged
from astrocast.kernels.traces.traces import Windows
from astrocast.runtime.progress import Silent, reporting
from astrocast.runtime.provenance import content_hash
from astrocast.settings.analysis import (
    ExtensionSettings,
    PhysiologySettings,
    SurroundingsSettings,
)
from astrocast.viewer.layers import events_layer, recording_layer
from astrocast.viewer.napari_viewer import open_viewer

if TYPE_CHECKING:
    from astrocast.analysis.events import Events

#: keeps a result: (name, what it depends on, how to compute it) -> arrays
Kept = Callable[[str, dict[str, Any], Callable[[], dict[str, Any]]], dict[str, Any]]


def only(sources: Sequence[Source]) -> Source:
    """Return the one recording, or say that there are several."""
    if len(sources) != 1:
        raise InvalidValueError(
            f"these events are of {len(sources)} recordings"
            f" ({', '.join(s.name for s in sources[:5])}); ask one of them:"
            " MultiEvents.of(name)"
        )
    return sources[0]


def silently(call: Callable[[], Any]) -> Any:
    """Call without showing progress."""
    with reporting(Silent()):
        return call()


def per_recording(
    table: pd.DataFrame,
    sources: Sequence[Source],
    measure: Callable[[pd.DataFrame, Source], pd.DataFrame],
) -> pd.DataFrame:
    """Return what ``measure`` finds for the events of each recording, in the order of
    the table.
    """
    if len(sources) == 1:
        return measure(table, sources[0])
    names = table["file_name"].astype(object).to_numpy()
    places, parts = [], []
    for source in sources:
        chosen = np.flatnonzero(names == source.name)
        if chosen.size:
            places.append(chosen)
            parts.append(measure(table.iloc[chosen], source))
    if not parts:
        return measure(table, sources[0])
    return pd.concat(parts).iloc[np.argsort(np.concatenate(places))]


def _hash(video: Video | None) -> str | None:
    if video is None:
        return None
    with video.open() as recording:
        return f"{content_hash(recording)}@{video.first_frame}"


def _packed(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns as plain arrays, for the cache."""
    out: dict[str, Any] = {}
    for name, column in found.items():
        if isinstance(column, TraceArray):
            out[f"{name}|flat"], out[f"{name}|offsets"] = column.flat, column.offsets
        else:
            out[name] = np.asarray(column)
    return out


def _unpacked(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removesuffix("|flat"): (
            TraceArray(array, arrays[name.replace("|flat", "|offsets")])
            if name.endswith("|flat")
            else array
        )
        for name, array in arrays.items()
        if not name.endswith("|offsets")
    }


def extended(
    table: pd.DataFrame,
    sources: Sequence[Source],
    settings: ExtensionSettings,
    kept: Kept,
) -> pd.DataFrame:
    """Return the table with extended traces, see `Events.extend`."""

    def measure(part: pd.DataFrame, source: Source) -> pd.DataFrame:
        video = signals.need_video(source.video, "extending traces")

        def compute() -> dict[str, Any]:
            found = signals.extended(part, video, settings)
            return _packed(
                {
                    "trace": found["trace"].array,
                    TRACE_START: found[TRACE_START].to_numpy(),
                }
            )

        inputs = {
            "settings": settings.model_dump(),
            "recording": source.name,
            "video": partial(_hash, video),
        }
        return part.assign(**_unpacked(_resolve(kept, "extend", inputs, compute)))

    return per_recording(table, sources, measure)


def _resolve(
    kept: Kept, name: str, inputs: dict[str, Any], compute: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Keep a result; what is expensive to know of the inputs is only asked for where
    results are kept.
    """
    owner = getattr(kept, "__self__", None)
    if owner is not None and owner.cache_path is None:
        return compute()
    return kept(
        name, {k: v() if callable(v) else v for k, v in inputs.items()}, compute
    )


def noise_traces(
    table: pd.DataFrame,
    sources: Sequence[Source],
    settings: SurroundingsSettings,
    kept: Kept,
) -> TraceArray:
    """Return the noise trace of each event, see `Events.noise_traces`."""

    def measure(part: pd.DataFrame, source: Source) -> pd.DataFrame:
        video = signals.need_video(source.video, "the surroundings of events")

        def compute() -> dict[str, Any]:
            try:
                with open_map(source.directory, source.z_slice) as labels:
                    found = signals.noise_traces(part, video, labels, settings)
            except (
                RecordingNotFoundError
            ):  # a directory without a map: pixels of other events cannot be left out
                found = signals.noise_traces(part, video, None, settings)
            return _packed({"noise": found})

        inputs = {
            "settings": settings.model_dump(),
            "recording": source.name,
            "video": partial(_hash, video),
            "map": partial(_map_hash, source),
        }
        return pd.DataFrame(
            _unpacked(_resolve(kept, "noise", inputs, compute)), index=part.index
        )

    found = per_recording(table, sources, measure)["noise"].array
    assert isinstance(found, TraceArray)
    return found


def _map_hash(source: Source) -> str | None:
    try:
        with open_map(source.directory, source.z_slice) as labels:
            return content_hash(labels)
    except RecordingNotFoundError:
        return None


def physiology(
    table: pd.DataFrame,
    sources: Sequence[Source],
    settings: PhysiologySettings,
    *,
    calibration: tuple[Any, float | None],
    background: Any,
    landmarks: Mapping[str, Any],
    kept: Kept,
) -> pd.DataFrame:
    """Return the physiological columns, see `Events.physiology`."""
    reference = Video(background) if background is not None else None

    def measure(part: pd.DataFrame, source: Source) -> pd.DataFrame:
        size, rate = calibration
        size = source.metadata.pixel_size if size is None else size
        rate = source.metadata.frame_rate if rate is None else rate
        used = Calibration.of(size, rate)
        inputs = {
            "settings": settings.model_dump(),
            "recording": source.name,
            "calibration": [used.pixel, used.frame],
            "shape": source.shape,
            "landmarks": {
                name: np.asarray(value).tolist() for name, value in landmarks.items()
            },
            "video": partial(_hash, source.video if settings.context else None),
            "background": partial(_hash, reference),
        }
        compute = partial(
            _physiology, part, source, settings, used, reference, landmarks
        )
        return pd.DataFrame(
            _unpacked(_resolve(kept, "physiology", inputs, compute)), index=part.index
        )

    return per_recording(table, sources, measure)


def _physiology(
    part: pd.DataFrame,
    source: Source,
    settings: PhysiologySettings,
    used: Calibration,
    reference: Video | None,
    landmarks: Mapping[str, Any],
) -> dict[str, Any]:
    timed = part
    if settings.context:
        video = signals.need_video(
            source.video, "looking at frames before and after events"
        )
        timed = signals.extended(
            part, video, ExtensionSettings(frames=settings.context)
        )
    f0 = None if reference is None else _baseline(part, reference)
    found = columns.time_columns(timed, used, settings, f0)
    found |= columns.shape_columns(part, used)
    found |= columns.propagation_columns(part, used)
    found |= columns.company_columns(part, source.shape[1:], settings)
    found |= columns.landmark_columns(part, landmarks, used)
    return _packed(found)


def _baseline(part: pd.DataFrame, reference: Video) -> NDArray[np.float64]:
    """Mean of the background over each event's footprint and frames."""
    signals.check_extent(part, reference)
    z0, z1 = (part[z].to_numpy(np.int64) for z in ("z0", "z1"))
    windows = Windows(z0, ragged.offsets_of(z1 - z0))
    (values,) = signals.mean_traces(
        reference, [(signals.event_pixels(part, reference.shape[1:]), windows)]
    )
    return ragged.reduce_each(values, windows.offsets, "mean")


def time_column(table: pd.DataFrame, time: str | None) -> str:
    """Return the column with the time that events begin at."""
    return time if time is not None else ("t0" if "t0" in table else "z0")


def frequency(
    table: pd.DataFrame,
    sources: Sequence[Source],
    bin_width: float,
    group: str | None,
    time: str | None,
) -> pd.DataFrame:
    """Return events per unit of time, in bins, per group, see `Events.frequency`."""
    if bin_width <= 0:
        raise InvalidValueError(f"bin_width is {bin_width}; it is above 0")
    column = time_column(table, time)
    begins = groups.column_of(table, column).to_numpy(np.float64)
    if column == "z0":  # the whole recording, also where nothing happens
        start: float = min(s.first_frame for s in sources)
        stop: float = max(s.first_frame + s.shape[0] for s in sources)
    else:
        start, stop = (
            (0.0, 1.0)
            if not len(begins)
            else (min(0.0, np.nanmin(begins)), float(np.nanmax(begins)))
        )
    bins = max(
        1,
        int(np.floor((stop - start) / bin_width))
        + (column != "z0" or (stop - start) % bin_width > 0),
    )
    edges = np.asarray(start + np.arange(bins + 1) * bin_width, np.float64)
    return groups.frequency(table, group, edges, column, 1.0)


def show(
    events: Events,
    video: Any,
    loc: str | None,
    z_slice: tuple[int, int] | None,
    lazy: bool,
) -> Any:
    """Open a viewer with the recording and its events, see `Events.show_event_map`."""
    source = events.source
    labels, _, _ = read_map(source.directory, z_slice, lazy)
    if labels is None:
        raise NotRunError(f"{source.directory} holds no event map to show")
    shown = _shown_video(source, video, loc, z_slice)
    metadata = (
        shown.metadata
        if shown is not None and shown.metadata.to_attributes()
        else source.metadata
    )
    layers = []
    if shown is not None:
        if shown.shape != labels.shape:
            raise InvalidValueError(
                f"the recording has shape {shown.shape}, the event map {labels.shape};"
                " give z_slice"
            )
        layers.append(
            recording_layer(shown.to_dask() if lazy else shown.to_numpy(), metadata)
        )
    numbers = events.events.select_dtypes("number").drop(
        columns="event_id", errors="ignore"
    )
    layers.append(
        events_layer(
            labels,
            metadata,
            numbers.assign(index=events.events["event_id"]).reset_index(drop=True),
        )
    )
    return open_viewer(layers, f"astrocast: {source.name}")


def _shown_video(
    source: Source, video: Any, loc: str | None, z_slice: tuple[int, int] | None
) -> Video | None:
    if video is not None:
        return (
            video.sliced(z_slice)
            if isinstance(video, Video)
            else Video(video, loc, z_slice)
        )
    return source.video.sliced(z_slice) if source.video is not None else None
