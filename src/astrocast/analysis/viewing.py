"""Show events and their recording in napari."""

from __future__ import annotations

from typing import Any

import pandas as pd

from astrocast.analysis.maps import read_map
from astrocast.analysis.sources import Source
from astrocast.analysis.video import Video
from astrocast.errors import InvalidValueError, NotRunError
from astrocast.viewer.layers import events_layer, recording_layer
from astrocast.viewer.napari_viewer import open_viewer


def show_events(
    table: pd.DataFrame,
    source: Source,
    video: Any,
    loc: str | None,
    z_slice: tuple[int, int] | None,
    lazy: bool,
) -> Any:
    """Open a viewer with a recording and its events, see `Events.show_event_map`."""
    labels, _, _ = read_map(source.directory, z_slice, lazy)
    if labels is None:
        raise NotRunError(
            f"{source.directory} has no event map to show; run the detection again"
        )
    shown = _choose_video(source, video, loc, z_slice)
    metadata = (
        shown.metadata
        if shown is not None and shown.metadata.to_attributes()
        else source.metadata
    )
    layers = []
    if shown is not None:
        if shown.shape != labels.shape:
            raise InvalidValueError(
                f"the recording has shape {shown.shape}, but the event map has shape"
                f" {labels.shape}; give the z_slice of the recording"
            )
        layers.append(
            recording_layer(shown.to_dask() if lazy else shown.to_numpy(), metadata)
        )
    numbers = table.select_dtypes("number").drop(columns="event_id", errors="ignore")
    features = numbers.assign(index=table["event_id"]).reset_index(drop=True)
    layers.append(events_layer(labels, metadata, features))
    return open_viewer(layers, f"astrocast: {source.name}")


def _choose_video(
    source: Source, video: Any, loc: str | None, z_slice: tuple[int, int] | None
) -> Video | None:
    """Return the given recording, or that of the events; None without both."""
    if video is not None:
        return (
            video.with_frames(z_slice)
            if isinstance(video, Video)
            else Video(video, loc, z_slice)
        )
    return source.video.with_frames(z_slice) if source.video is not None else None
