"""Draw figures of events with `astrocast.plotting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from astrocast import plotting
from astrocast.analysis.sources import Source, single_source
from astrocast.analysis.trace_formats import starts_of, traces_of
from astrocast.events.array_columns import as_masks
from astrocast.events.required import column_of
from astrocast.io.recording import Metadata
from astrocast.kernels.masks.packed_masks import unpack_mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class EventPlots:
    """``events.plot``: each method draws into ``ax`` or new axes, and returns them.

    Parameters
    ----------
    table
        Events.
    sources
        Their recordings.
    """

    def __init__(self, table: pd.DataFrame, sources: list[Source]) -> None:
        self._table, self._sources = table, sources

    @property
    def _metadata(self) -> Metadata:
        """Frame rate and pixel size; empty if the recordings differ."""
        first = self._sources[0].metadata
        same = all(
            (m.frame_rate, m.pixel_size) == (first.frame_rate, first.pixel_size)
            for m in (s.metadata for s in self._sources)
        )
        return first if same else Metadata()

    def traces(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw traces one above the other, see `astrocast.plotting.traces`."""
        table = self._table
        options = {
            "names": table.index.tolist(),
            "frame_rate": self._metadata.frame_rate,
        } | options
        return plotting.traces(
            list(traces_of(table)), ax, starts=starts_of(table).tolist(), **options
        )

    def raster(self, ax: Axes | None = None, group: str | None = None) -> Axes:
        """Draw a bar per event over time, see `astrocast.plotting.raster`.

        ``group``: column that determines the colour.
        """
        stop = max(s.first_frame + s.shape[0] for s in self._sources)
        rate = self._metadata.frame_rate
        return plotting.raster(
            self._table, ax, frames=stop, frame_rate=rate, group=group
        )

    def footprints(self, ax: Axes | None = None, background: Any = None) -> Axes:
        """Draw footprints coloured by onset, see `astrocast.plotting.footprints`.

        ``background`` is an image (row, column); None: the mean of the recording, or
        black if no recording was given.
        """
        source, table = single_source(self._sources), self._table
        if background is None:
            background = (
                source.video.mean()
                if source.video is not None
                else np.zeros(source.shape[1:])
            )
        onset_map = np.full(np.shape(background), np.nan)
        masks = as_masks(table["mask"]).masks
        # paint the earliest event of a pixel last, so that it is visible
        order = np.argsort(-table["z0"].to_numpy(), kind="stable")
        for i in order:
            box = table.iloc[i]
            part = onset_map[
                int(box["x0"]) : int(box["x1"]), int(box["y0"]) : int(box["y1"])
            ]
            part[unpack_mask(masks, i).any(axis=0)] = box["z0"]
        meta = source.metadata
        return plotting.footprints(
            background,
            ax,
            onset_map=onset_map,
            frames=source.first_frame + source.shape[0],
            frame_rate=meta.frame_rate,
            pixel_size=meta.pixel_size,
        )

    def distribution(
        self, column: str, ax: Axes | None = None, label: str | None = None
    ) -> Axes:
        """Draw the histogram of a column, see `astrocast.plotting.distribution`."""
        values = column_of(self._table, column).to_numpy(np.float64)
        return plotting.distribution(values, ax, label=label or column)

    def density(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the number of events per place, see `astrocast.plotting.density`."""
        options = {"pixel_size": self._metadata.pixel_size} | options
        shape = self._sources[0].shape[1:]
        return plotting.density(self._table, shape, ax, **options)

    def average_trace(
        self, group: str | None = None, ax: Axes | None = None, **options: Any
    ) -> Axes:
        """Draw the mean trace per group, see `astrocast.plotting.average_trace`."""
        table = self._table
        values = list(traces_of(table))
        names = None if group is None else column_of(table, group).tolist()
        options = {"frame_rate": self._metadata.frame_rate} | options
        return plotting.average_trace(values, ax, groups=names, **options)
