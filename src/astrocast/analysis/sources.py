"""The recordings of events: directories, names, metadata; apply functions to each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astrocast.analysis.loading import (
    CustomColumns,
    add_custom_columns,
    add_identity,
    find_store,
    join_tables,
    read_directory,
    select_frames,
)
from astrocast.analysis.maps import open_map
from astrocast.analysis.times import add_times, one_per_recording
from astrocast.analysis.video import Video, inferred_loc, inferred_path
from astrocast.errors import AstrocastError, InvalidValueError, RecordingNotFoundError
from astrocast.io.recording import Metadata
from astrocast.io.stores.event_store import name_of_store, read_meta


class Source:
    """A directory of events and its recording.

    Parameters
    ----------
    directory
        Directory of the events.
    name
        Name of the recording in the table (``file_name``).
    video
        The recording; None if it was not given.
    z_slice
        Frames (first, last + 1) that are used; None: all.
    extent
        Last frame, row and column of any event, + 1. Used as the shape of the recording
        if neither the recording nor an event map is available.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        video: Video | None,
        z_slice: tuple[int, int] | None,
        extent: tuple[int, int, int],
    ) -> None:
        self.directory, self.name, self.video, self.z_slice, self.extent = (
            directory,
            name,
            video,
            z_slice,
            extent,
        )

    @cached_property
    def meta(self) -> dict[str, Any]:
        """Content of ``meta.json`` of the event store; empty if it is missing."""
        try:
            return read_meta(self.directory)
        except AstrocastError:
            return {}

    @cached_property
    def metadata(self) -> Metadata:
        """Pixel size and frame rate of the recording, or those of the event store."""
        if self.video is not None and self.video.metadata.to_attributes():
            return self.video.metadata
        return self._recorded_metadata()

    def _recorded_metadata(self) -> Metadata:
        """Return the metadata of the recording that the detection stored."""
        recorded = self.meta.get("input")
        attributes = recorded.get("metadata") if isinstance(recorded, dict) else None
        return Metadata.from_attributes(attributes or {})

    def frame_times(self) -> list[float] | None:
        """Return the time of each frame of the whole recording, in seconds.

        None if the recording has no times, or if its frames are evenly spaced.
        """
        times = self._recorded_metadata().frame_times
        if not times and self.video is not None and self.z_slice is None:
            times = self.video.metadata.frame_times
        return list(times) if len(times) > 1 else None

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Frames (of the slice), rows and columns.

        From the recording; otherwise from the event map, or the extent of the events.
        """
        if self.video is not None:
            return self.video.shape
        try:
            with open_map(self.directory, self.z_slice) as recording:
                return recording.shape
        except RecordingNotFoundError:
            first = self.z_slice[0] if self.z_slice else 0
            return (self.extent[0] - first, *self.extent[1:])

    @property
    def first_frame(self) -> int:
        """Number of the first frame of the slice in the recording."""
        return self.z_slice[0] if self.z_slice else 0


def recording_names(directories: Sequence[Path]) -> list[str]:
    """Return a unique name for each directory: its file name without ``.roi``.

    If two names are equal, parent folders are added. The name of a directory does not
    depend on the order or on directories with other names.

    >>> recording_names([Path("a/x.roi"), Path("b/x.roi"), Path("b/y.roi")])
    ['a/x', 'b/x', 'y']
    """
    parts = [(*d.resolve().parts[:-1], name_of_store(d)) for d in directories]
    counts = Counter(p[-1] for p in parts)
    names = []
    for own in parts:
        depth = 1
        if counts[own[-1]] > 1:
            twins = [p for p in parts if p[-1] == own[-1]]
            while depth < len(own) and len({p[-depth:] for p in twins}) < len(twins):
                depth += 1
        names.append("/".join(own[-depth:]))
    if len(set(names)) < len(names):
        raise InvalidValueError(
            "the same directory was given twice:"
            f" {', '.join(n for n, c in Counter(names).items() if c > 1)}"
        )
    return names


def one_each(value: Any, count: int, name: str) -> list[Any]:
    """Return one value per recording; a value that is no list or tuple is repeated."""
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise InvalidValueError(
            f"{name} has {len(value)} entries for {count} directories; give one entry"
            " per directory, or one value for all"
        )
    return list(value)


def single_source(sources: Sequence[Source]) -> Source:
    """Return the only recording; raise an error if there are several."""
    if len(sources) != 1:
        raise InvalidValueError(
            f"these events are from {len(sources)} recordings"
            f" ({', '.join(s.name for s in sources[:5])}); choose one of them with"
            " MultiEvents.of(name)"
        )
    return sources[0]


def map_recordings(
    table: pd.DataFrame,
    sources: Sequence[Source],
    function: Callable[[pd.DataFrame, Source], pd.DataFrame],
) -> pd.DataFrame:
    """Apply a function to the events of each recording.

    Parameters
    ----------
    table
        Events of all recordings; ``file_name`` is the name of the recording.
    sources
        The recordings.
    function
        Function (rows of one recording, recording) -> table with the same rows.

    Returns
    -------
    pandas.DataFrame
        The rows of all recordings, in the order of the table.
    """
    if len(sources) == 1:
        return function(table, sources[0])
    names = table["file_name"].astype(object).to_numpy()
    places, parts = [], []
    for source in sources:
        chosen = np.flatnonzero(names == source.name)
        if chosen.size:
            places.append(chosen)
            parts.append(function(table.iloc[chosen], source))
    if not parts:
        return function(table, sources[0])
    return pd.concat(parts).iloc[np.argsort(np.concatenate(places))]


def _open_video(
    data: Any, loc: str | None, z_slice: tuple[int, int] | None, directory: Path
) -> Video | None:
    """Return the recording of a directory; None if no data were given."""
    if data is None:
        return None
    if isinstance(data, Video):
        if data.z_slice not in (None, z_slice):
            raise InvalidValueError(
                f"the Video given as data is cut to frames {data.z_slice}; give the"
                f" same z_slice to Events (found {z_slice}), or an uncut Video"
            )
        return data if data.z_slice == z_slice else data.with_frames(z_slice)
    if isinstance(data, str) and data == "infer":
        path = inferred_path(directory)
        return Video(
            path, loc if loc is not None else inferred_loc(directory, path), z_slice
        )
    return Video(data, loc, z_slice)


def load_recordings(
    event_dir: str | Path | Sequence[str | Path],
    *,
    data: Any,
    loc: str | None,
    z_slice: tuple[int, int] | None,
    identity: dict[str, Any],
    custom_columns: CustomColumns,
    times: tuple[Any, Any],
    curated: bool | str = False,
    columns: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, list[Source]]:
    """Return the table of all events and their recordings, see `Events`."""
    several = not isinstance(event_dir, (str, Path))
    directories = (
        [find_store(Path(event_dir))]
        if isinstance(event_dir, (str, Path))
        else [find_store(Path(d)) for d in event_dir]
    )
    if not directories:
        raise InvalidValueError("event_dir is empty; give at least one directory")
    names, count = recording_names(directories), len(directories)
    per = {
        key: one_each(value, count, key)
        for key, value in {**identity, "data": data}.items()
    }
    mappings = one_per_recording(times[0], count, "frame_to_time_mapping")
    functions = one_per_recording(times[1], count, "frame_to_time_function")
    tables, sources = [], []
    for i, (directory, name) in enumerate(zip(directories, names, strict=True)):
        table = read_directory(directory, curated, columns)
        extent = _extent(table)
        table = add_custom_columns(select_frames(table, z_slice), custom_columns)
        source = Source(
            directory,
            name,
            _open_video(per["data"][i], loc, z_slice, directory),
            z_slice,
            extent,
        )
        mapping = mappings[i]
        if mapping is None and functions[i] is None:
            mapping = source.frame_times()
        table = add_times(table, mapping, functions[i])
        table = add_identity(table, per["group"][i], per["subject_id"][i], name)
        prefix = per["index_prefix"][i]
        if several or prefix is not None:
            table.index = pd.Index(
                [
                    f"{prefix or ''}{name + ':' if several else ''}{n}"
                    for n in table.index
                ],
                dtype=object,
            )
        tables.append(table)
        sources.append(source)
    return join_tables(tables), sources


def _extent(table: pd.DataFrame) -> tuple[int, int, int]:
    """Return the frame, row and column after the last of any event, at least 1."""
    return tuple(
        int(np.max(table[c].to_numpy(), initial=1)) for c in ("z1", "x1", "y1")
    )  # type: ignore[return-value] # three
