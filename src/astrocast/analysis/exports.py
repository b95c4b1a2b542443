"""Files of events, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrocast.analysis.maps import open_map
from astrocast.events.physiology_schema import physiology_columns, region_columns
from astrocast.events.schema import COLUMNS, Column
from astrocast.io.export import nwb as export_nwb
from astrocast.io.export import ome as export_ome
from astrocast.io.export import roi as export_roi
from astrocast.io.export import tables as export_tables

if TYPE_CHECKING:
    from astrocast.analysis.events import Events


class EventExports:
    """``events.export``: each method writes one file and returns its path; an existing
    one is kept unless asked.
    """

    def __init__(self, events: Events) -> None:
        self._events = events

    @property
    def described(self) -> list[Column]:
        """What the columns of these events mean, with the units that they have."""
        table, metadata = self._events.events, self._events.metadata
        space, time = metadata.pixel_size is not None, metadata.frame_rate is not None
        known = {c.name: c for c in (*COLUMNS, *physiology_columns(space, time))}
        names = [
            str(c).removeprefix("v_distance_")
            for c in table
            if str(c).startswith("v_distance_")
        ]
        known |= {c.name: c for name in names for c in region_columns(name, space)}
        return [known[c] for c in table if c in known]

    def csv(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write numbers and texts as comma-separated values."""
        return export_tables.write_csv(Path(path), self._events.events, overwrite)

    def parquet(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the whole table, with traces and packed masks, and what each column
        means.
        """
        return export_tables.write_parquet(
            Path(path), self._events.events, self.described, overwrite
        )

    def excel(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write numbers and texts as a sheet of Excel, what columns mean as another."""
        return export_tables.write_excel(
            Path(path), self._events.events, self.described, overwrite
        )

    def rois(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the footprints as ImageJ regions (``.zip``)."""
        return export_roi.write_rois(Path(path), self._events.events, overwrite)

    def nwb(
        self,
        path: str | Path,
        *,
        recording: bool = True,
        overwrite: bool = False,
        **session: Any,
    ) -> Path:
        """Write recording, footprints and events as NWB; ``session`` are the fields of
        `io.export_nwb.Session`.
        """
        source = self._events.source
        known = export_nwb.Session(**session)
        options: dict[str, Any] = {
            "frame_shape": source.shape[1:],
            "session": known,
            "described": self.described,
            "overwrite": overwrite,
        }
        table = self._events.events
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
        """Write the event map as labels of an OME-Zarr image, over the recording when
        there is one.
        """
        source = self._events.source
        with open_map(source.directory, source.z_slice) as labels:
            if source.video is None or not recording:
                return export_ome.write_labels(
                    Path(path), labels, None, source.metadata, overwrite
                )
            with source.video.open() as movie:
                return export_ome.write_labels(
                    Path(path), labels, movie, source.metadata, overwrite
                )
