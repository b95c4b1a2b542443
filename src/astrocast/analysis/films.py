"""Make a film of a recording with its events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis.maps import labels_of
from astrocast.analysis.sources import Source
from astrocast.errors import RecordingNotFoundError
from astrocast.events.array_columns import as_masks
from astrocast.io.export.tables import write_whole
from astrocast.io.recording import Recording
from astrocast.kernels.frames.contrast import map_contrast
from astrocast.kernels.masks.pixel_outlines import outline_frames
from astrocast.plotting.film import (
    enlarge,
    enlargement,
    paint_outlines,
    paint_scale_bar,
    paint_time,
    write_film,
)
from astrocast.plotting.palette import CATEGORIES
from astrocast.viewer.layers import contrast_of

#: largest default speed: smooth for the eye, and files are small
MOST_FRAMES_PER_SECOND = 25.0
UNKNOWN_FRAMES_PER_SECOND = 10.0


def write_events_film(
    path: Path,
    table: pd.DataFrame,
    source: Source,
    frames_per_second: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the recording of events as a film, see `EventExports.film`.

    Raises
    ------
    RecordingNotFoundError
        The events have no recording.
    """
    if source.video is None:
        raise RecordingNotFoundError(
            "a film needs the recording: give Events(..., data=PATH) or data='infer'"
        )
    rate = source.metadata.frame_rate
    speed = frames_per_second
    if speed is None:
        speed = min(rate or UNKNOWN_FRAMES_PER_SECOND, MOST_FRAMES_PER_SECOND)
    with source.video.open() as movie:
        pictures = _draw_pictures(movie, table, source)
        return write_whole(path, lambda to: write_film(to, pictures, speed), overwrite)


def _draw_pictures(
    movie: Recording, table: pd.DataFrame, source: Source
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a film in order, uint8 (row, column, 3)."""
    low, high = contrast_of(_Frames(movie))
    factor = enlargement(movie.shape[1:])
    masks = as_masks(table["mask"]).masks
    origins = table[["z0", "x0", "y0"]].to_numpy(np.int64)
    numbers = labels_of(table).tolist()
    # black outlines would not be visible on tissue
    shades = [c for c in CATEGORIES if c != "#000000"]
    colours = {event: shades[i % len(shades)] for i, event in enumerate(numbers)}
    meta = source.metadata
    for start, block in movie.blocks(max(1, movie.chunk_frames)):
        for t, frame in enumerate(block, start + source.first_frame):
            image = enlarge(map_contrast(frame, low, high), factor)
            outlines = outline_frames(masks, origins, t)
            paint_outlines(image, outlines, numbers, factor, colours)
            paint_time(image, t, meta.frame_rate)
            paint_scale_bar(image, factor, meta.pixel_size)
            yield image


class _Frames:
    """A recording as a sequence of frames, read one at a time."""

    def __init__(self, movie: Recording) -> None:
        self.movie = movie

    def __len__(self) -> int:
        return self.movie.shape[0]

    def __getitem__(self, frame: int) -> NDArray[np.generic]:
        return self.movie.read(int(frame), int(frame) + 1)[0]
