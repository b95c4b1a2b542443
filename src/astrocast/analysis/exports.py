"""Write events as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from astrocast.analysis.maps import labels_of, open_map
from astrocast.analysis.sources import Source, single_source
from astrocast.events.measure_schema import Units, measure_columns
from astrocast.events.physiology_schema import physiology_columns, region_columns
from astrocast.events.schema import COLUMNS, Column
from astrocast.io.export import nwb as export_nwb
from astrocast.io.export import ome as export_ome
from astrocast.io.export import roi as export_roi
from astrocast.io.export import tables as export_tables


class EventExports:
    """``events.export``: each method writes one file and returns its path.

    An existing file is an error unless ``overwrite=True``.

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
    def described(self) -> list[Column]:
        """Meaning and unit of each declared column.

        Units are physical if all recordings have a pixel size (or frame rate).
        """
        table, metadata = self._table, [s.metadata for s in self._sources]
        space = all(m.pixel_size is not None for m in metadata)
        time = all(m.frame_rate is not None for m in metadata)
        declared = {
            c.name: c
            for c in (
                *COLUMNS,
                *measure_columns(Units(time, space)),
                *physiology_columns(space, time),
            )
        }
        names = [
            str(c).removeprefix("v_distance_")
            for c in table
            if str(c).startswith("v_distance_")
        ]
        declared |= {c.name: c for name in names for c in region_columns(name, space)}
        return [declared[c] for c in table if c in declared]

    def csv(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write numbers and texts as comma-separated values."""
        return export_tables.write_csv(Path(path), self._table, overwrite)

    def parquet(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the whole table: numbers, traces, packed masks, column meanings."""
        return export_tables.write_parquet(
            Path(path), self._table, self.described, overwrite
        )

    def excel(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write an Excel file: numbers and texts, and a sheet with column meanings."""
        return export_tables.write_excel(
            Path(path), self._table, self.described, overwrite
        )

    def rois(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the footprints as ImageJ regions (``.zip``)."""
        return export_roi.write_rois(Path(path), self._table, overwrite)

    def nwb(
        self,
        path: str | Path,
        *,
        recording: bool = True,
        overwrite: bool = False,
        **session: Any,
    ) -> Path:
        """Write recording, footprints and events as NWB.

        ``session``: fields of `astrocast.io.export.nwb.Session`.
        """
        source = single_source(self._sources)
        options: dict[str, Any] = {
            "frame_shape": source.shape[1:],
            "session": export_nwb.Session(**session),
            "described": self.described,
            "overwrite": overwrite,
        }
        table = self._table
        if source.video is None or not recording:
            return export_nwb.write_nwb(
                Path(path), table, None, source.metadata, **options
            )
        with source.video.open() as movie:
            return export_nwb.write_nwb(
                Path(path), table, movie, source.metadata, **options
            )

    def ome_zarr(
        self, path: str | Path, *, recording: bool = True, overwrite: bool = False
    ) -> Path:
        """Write an OME-Zarr image with the event map as labels.

        The map contains only the events of the table. The image is the recording, if it
        was given and ``recording`` is True.
        """
        source = single_source(self._sources)
        events = labels_of(self._table)
        with open_map(source.directory, source.z_slice) as labels:
            if source.video is None or not recording:
                return export_ome.write_labels(
                    Path(path), labels, None, source.metadata, overwrite, events
                )
            with source.video.open() as movie:
                return export_ome.write_labels(
                    Path(path), labels, movie, source.metadata, overwrite, events
                )

    def film(
        self,
        path: str | Path,
        *,
        frames_per_second: float | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write the recording as a film (MP4) with outlines, time and scale bar.

        Parameters
        ----------
        path
            ``.mp4`` file.
        frames_per_second
            Speed; None: real time, but at most 25; 10 if the frame rate is unknown.
        overwrite
            Whether to replace an existing file.
        """
        from astrocast.analysis.films import write_events_film

        source = single_source(self._sources)
        return write_events_film(
            Path(path), self._table, source, frames_per_second, overwrite
        )

    def picture(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write a picture (PNG): footprints over the mean image, with a scale bar."""
        from astrocast.analysis.plots import EventPlots
        from astrocast.plotting.frame import figure_of

        figure = figure_of(EventPlots(self._table, self._sources).footprints())
        return export_tables.write_whole(
            Path(path), lambda to: figure.savefig(to, dpi=200, format="png"), overwrite
        )
