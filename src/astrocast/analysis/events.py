"""The event object: detected events, loaded once, asked many things."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from astrocast.analysis import groups, maps
from astrocast.analysis import trace_formats as shapes
from astrocast.analysis.exports import EventExports
from astrocast.analysis.loading import CustomColumns, check_slice
from astrocast.analysis.measurements import compute as measured
from astrocast.analysis.measurements.methods import Measurements
from astrocast.analysis.selection import selected
from astrocast.analysis.sources import Source, load_recordings
from astrocast.analysis.times import FrameFunction, FrameMapping
from astrocast.analysis.video import Video
from astrocast.errors import AstrocastWarning
from astrocast.events.array_columns import TraceArray
from astrocast.io.recording import Metadata
from astrocast.settings.analysis import (
    LengthSettings,
    normalization_steps,
)

if TYPE_CHECKING:
    from astrocast.analysis.plots import EventPlots


class Events(Measurements):
    """Detected events of one recording, or of several.

    Parameters
    ----------
    event_dir
        Directory that detection made, or a list of them; directories of astroCAST 0.4
        are read too, without running anything in them.
    lazy
        Whether event map and recording stay on disk (dask arrays) or are read into
        memory (NumPy).
    data
        The recording: path, NumPy or dask array, ``"infer"`` (the recording of the same
        stem beside the directory), or a list of these, one per directory. Needed only
        by what reads it.
    loc
        Dataset of the recording in formats that hold several.
    group, subject_id
        What the events belong to; with several directories a list, or one for all.
    z_slice
        Frames (first, last + 1): map and recording are cut to it, of the table the
        events that lie wholly within are kept. Frame numbers (``z0``, ``z1``) stay
        those of the whole recording.
    index_prefix
        Put before the number of each event in the index. Several directories are told
        apart by the name of their recording, see `MultiEvents`.
    custom_columns
        Names of columns to compute (``v_area_norm`` = v_area / dz, ``v_area_footprint``
        in px², ``cx`` and ``cy``, the centre of the footprint in the frame), or
        ``{name: function of the table}``, or a list of both.
    frame_to_time_mapping, frame_to_time_function
        Time of each frame, as a dict, a list or a function of the frame (a list of
        them: one per directory); adds ``t0``, ``t1`` and ``dt`` = t1 - t0.
    cache_path
        Directory for results that take long (`physiology`, `extend`, `noise_traces`);
        they are kept under a hash of everything they depend on, so that a stale one
        cannot be found.
    seed
        Part of that hash.

    Attributes
    ----------
    events : pandas.DataFrame
        A row per event. Columns of arrays (``trace``, ``mask`` ...) are packed, see
        `astrocast.events.array_columns`; their elements are NumPy arrays.
    data : Video or None
        The recording.

    Examples
    --------
    >>> events = Events("recording.ch0.roi", data="infer")  # doctest: +SKIP
    >>> events.filter({"dz": (5, 20)})  # doctest: +SKIP
    >>> events.normalize(
    ...     {0: ["subtract", {"mode": "min"}], 1: ["divide", {"mode": "max"}]}
    ... )  # doctest: +SKIP
    """

    def __init__(
        self,
        event_dir: str | Path | Sequence[str | Path],
        lazy: bool = True,
        data: Any = None,
        loc: str | None = None,
        group: Any = None,
        subject_id: Any = None,
        z_slice: tuple[int, int] | None = None,
        index_prefix: str | None = None,
        custom_columns: CustomColumns = ("v_area_norm", "cx", "cy"),
        frame_to_time_mapping: FrameMapping | None = None,
        frame_to_time_function: FrameFunction | Sequence[FrameFunction] | None = None,
        cache_path: str | Path | None = None,
        seed: int = 1,
    ) -> None:
        self.lazy, self.loc, self.seed = lazy, loc, seed
        self.z_slice = check_slice(z_slice) if z_slice is not None else None
        self.cache_path = Path(cache_path) if cache_path is not None else None
        self.events, self.sources = load_recordings(
            event_dir,
            data=data,
            loc=loc,
            z_slice=self.z_slice,
            identity={
                "group": group,
                "subject_id": subject_id,
                "index_prefix": index_prefix,
            },
            custom_columns=custom_columns,
            times=(frame_to_time_mapping, frame_to_time_function),
        )
        self.event_dir = (
            self.sources[0].directory
            if len(self.sources) == 1
            else [s.directory for s in self.sources]
        )
        self._map: Any = None if lazy else self.event_map

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        names = ", ".join(s.name for s in self.sources[:3]) + (
            " ..." if len(self.sources) > 3 else ""
        )
        return (
            f"<Events: {len(self)} events of {len(self.sources)} recording(s): {names}>"
        )

    # -----------------------------------------------------------------------------------------------
    # what they are of

    @property
    def source(self) -> Source:
        """The one recording these events are of; asked of several recordings it says
        so.
        """
        return measured.only(self.sources)

    @property
    def data(self) -> Video | None:
        """The recording, cut to ``z_slice``; None where none was given."""
        return self.source.video

    @property
    def event_map(self) -> Any:
        """The label volume, cut to ``z_slice``: dask when lazy, else NumPy; None where
        the directory has none.
        """
        if getattr(self, "_map", None) is not None:
            return self._map
        return self.get_event_map(self.source.directory, self.z_slice, self.lazy)[0]

    @property
    def num_frames(self) -> int:
        """Frames of the recording (of the slice)."""
        return max(s.shape[0] for s in self.sources)

    @property
    def metadata(self) -> Metadata:
        """Pixel size and frame rate, where the recording or detection recorded them."""
        return self.sources[0].metadata

    @property
    def plot(self) -> EventPlots:
        """Figures of these events: ``events.plot.raster()`` and others, axes in, axes
        out.
        """
        # matplotlib takes longer to import than all the rest
        from astrocast.analysis.plots import EventPlots

        return EventPlots(self)

    @property
    def export(self) -> EventExports:
        """Files of these events: ``events.export.csv(path)`` and others."""
        return EventExports(self)

    # -------------------------------------------------------------------------------------------------------
    # contract

    def copy(self) -> Self:
        """Return a copy that shares no table, trace or mask; a lazy recording and map
        are read-only and shared.
        """
        other = copy.copy(self)
        other.events = self.events.copy(deep=True)
        for name, column in other.events.items():
            if column.dtype == object:  # pandas copies the column, not the arrays in it
                other.events[name] = pd.Series(
                    [copy.deepcopy(v) for v in column], index=column.index, dtype=object
                )
        other.sources = list(self.sources)
        other._map = (
            self._map.copy() if isinstance(self._map, np.ndarray) else self._map
        )
        return other

    def filter(
        self, filters: Mapping[str, Any], inplace: bool = True
    ) -> pd.DataFrame | None:
        """Keep the events that pass all filters.

        Parameters
        ----------
        filters
            Column -> what is allowed. Numbers and times: (low, high), inclusive, None
            leaves a side open; NaN passes no limit. Text, categories and truth values:
            the values allowed.
        inplace
            Change these events and return None, or return the table that remains.
        """
        table = self.events[selected(self.events, filters)]
        if not inplace:
            return table
        self.events = table
        return None

    def normalize(
        self, normalize_instructions: Mapping[Any, Any], inplace: bool = True
    ) -> NDArray[Any] | None:
        """Normalise the traces, instruction by instruction.

        Parameters
        ----------
        normalize_instructions
            ``{order: "name"}`` or ``{order: ["name", {parameters}]}``, done in the
            order of the keys. ``subtract`` and ``divide`` take ``mode`` (first, mean,
            median, min, min_abs, max, max_abs, std, std_mean, std_median, std_max),
            ``population_wide`` (one number for all traces) and ``rows`` (False: per
            frame of the trace instead of per trace); ``min_max`` and ``mean_std`` take
            the last two; ``diff``; ``impute_nan`` takes ``fixed_value``. See
            `astrocast.kernels.ragged.normalize`.
        inplace
            Change the column ``trace`` and return None, or return the traces as an
            object array of arrays.
        """
        traces = shapes.normalized(
            shapes.traces_of(self.events), normalization_steps(normalize_instructions)
        )
        if not inplace:
            return shapes.as_objects(traces)
        self.events = self.events.assign(trace=traces)
        return None

    def enforce_length(
        self,
        min_length: int | None = None,
        pad_mode: str = "edge",
        max_length: int | None = None,
        inplace: bool = False,
        *,
        align: str = "start",
    ) -> pd.DataFrame:
        """Pad short traces and cut long ones; ``dz`` follows, ``z0`` and ``z1`` stay
        those of the event.

        Parameters
        ----------
        min_length, max_length
            Shortest and longest trace, in frames; either, or both (equal ones give
            equal lengths).
        pad_mode
            One of NumPy's pad modes.
        inplace
            Whether these events change too.
        align
            The part of a trace that keeps its place: ``start`` (padded and cut at its
            end), ``end`` or ``center``.
        """
        settings = LengthSettings.checked(
            min_length=min_length, pad_mode=pad_mode, max_length=max_length, align=align
        )
        table = shapes.with_length(self.events, settings)
        if inplace:
            self.events = table
        return table

    def to_numpy(
        self,
        events: pd.DataFrame | None = None,
        empty_as_nan: bool = True,
        ragged: bool = False,
    ) -> Any:
        """Return the traces as one array.

        Parameters
        ----------
        events
            Another table than these events.
        empty_as_nan
            Frames without the event are NaN; else a masked array is returned.
        ragged
            Return an object array of traces instead, which takes no memory for empty
            frames.

        Returns
        -------
        numpy.ndarray
            (events, frames of the recording or its slice), each trace at its place.
        """
        table = self.events if events is None else events
        if ragged:
            return shapes.as_objects(shapes.traces_of(table))
        first = self.z_slice[0] if self.z_slice else 0
        return shapes.as_matrix(table, first, self.num_frames, masked=not empty_as_nan)

    def to_tsfresh(self, show_progress: bool = False) -> pd.DataFrame:
        """Return the traces in tsfresh's long form: ``id``, ``time`` (from 0 in each
        event), ``dim_0``; NaN becomes 0.

        ``show_progress`` is kept for the contract: there is nothing to wait for.
        """
        return shapes.as_long(self.events)

    def add_clustering(
        self, cluster_lookup_table: Mapping[Any, Any], column_name: str = "cluster"
    ) -> None:
        """Add a column with the label of each event, by its index; an existing one is
        replaced, with a warning.

        Events that the table does not have get its default (of a defaultdict), else
        nothing.
        """
        if column_name in self.events:
            warnings.warn(
                f"the column {column_name!r} is replaced",
                AstrocastWarning,
                stacklevel=2,
            )
        labels = groups.looked_up(self.events.index, cluster_lookup_table)
        self.events = self.events.assign(**{column_name: labels})

    def create_lookup_table(
        self, labels: Sequence[Any], default_cluster: Any = -1
    ) -> dict[Any, Any]:
        """Return event index -> label, for labels in the order of the events; every
        other index gives the default.
        """
        return groups.lookup_table(self.events.index, labels, default_cluster)

    def get_counts_per_cluster(
        self, cluster_col: str, group_col: str | None = None
    ) -> pd.DataFrame:
        """Return events per cluster (rows), per group where a column is named (else one
        column, ``counts``).
        """
        return groups.counts_per_cluster(self.events, cluster_col, group_col)

    def plot_cluster_counts(
        self,
        counts: pd.DataFrame,
        normalize_instructions: Mapping[Any, Any] | None = None,
        method: str = "average",
        metric: str = "euclidean",
        z_score: int | None = 0,
        center: float = 0,
        transpose: bool = False,
        color_palette: str = "viridis",
        group_cmap: Any = None,
        cmap: str = "vlag",
    ) -> tuple[Any, dict[str, float]]:
        """Draw a clustered heat map of counts and return it with its quality scores,
        see `plotting.clusters`.
        """
        from astrocast.plotting.clusters import cluster_counts

        if normalize_instructions is not None:
            rows = TraceArray._from_sequence(list(counts.to_numpy(np.float64)))
            scaled = shapes.normalized(
                rows, normalization_steps(normalize_instructions)
            )
            counts = pd.DataFrame(
                scaled.flat.reshape(counts.shape),
                index=counts.index,
                columns=counts.columns,
            )
        return cluster_counts(
            counts.T if transpose else counts,
            linkage=(method, metric),
            z_score=z_score,
            center=center,
            group_colors=(group_cmap, color_palette),
            cmap=cmap,
        )

    @staticmethod
    def get_event_map(
        event_dir: str | Path, z_slice: tuple[int, int] | None = None, lazy: bool = True
    ) -> tuple[Any, Any, Any]:
        """Return the event map of a directory with its shape and dtype; three None
        where it has none.

        Parameters
        ----------
        event_dir
            Directory that detection made.
        z_slice
            Frames (first, last + 1).
        lazy
            A dask array that reads when it is computed, else NumPy.
        """
        return maps.read_map(
            Path(event_dir), check_slice(z_slice) if z_slice is not None else None, lazy
        )

    @staticmethod
    def create_event_map(
        events: pd.DataFrame,
        video_dim: tuple[int, int, int],
        dtype: DTypeLike = int,
        show_progress: bool = True,
        save_path: str | Path | None = None,
        *,
        first_frame: int = 0,
    ) -> Any:
        """Draw the label volume of a table.

        Parameters
        ----------
        events
            Events with ``mask``, ``z0``, ``x0``, ``y0``; their number is ``event_id``,
            or the index. Where events share a voxel the one that does not have it in
            ``mask_hidden`` is drawn; where the table has no such column, or only the
            hidden are left, the last.
        video_dim
            (frames, rows, columns).
        dtype
            Integer type of the labels.
        show_progress
            Report to the progress display, where one is active.
        save_path
            Write to this file (.tiff, .h5, .zarr, .tdb) block by block, and return it
            as a lazy dask array.
        first_frame
            Frame of the recording that the volume begins with.

        Raises
        ------
        ValueError
            If the table has no column ``mask``.
        """
        draw = partial(
            maps.paint_map,
            events,
            video_dim,
            dtype,
            Path(save_path) if save_path else None,
            first_frame,
        )
        return draw() if show_progress else measured.silently(draw)

    def show_event_map(
        self,
        video: Any = None,
        loc: str | None = None,
        z_slice: tuple[int, int] | None = None,
        lazy: bool = True,
    ) -> Any:
        """Open napari with the recording and, over it, the events; the table is shown
        under the cursor.

        Parameters
        ----------
        video
            Recording to show: path or array; that of these events when None.
        loc
            Its dataset.
        z_slice
            Frames (first, last + 1) of the whole recording; that of these events when
            None.
        lazy
            Read frames as they are looked at, or all at once.

        Returns
        -------
        napari.Viewer
        """
        return measured.show(
            self,
            video,
            loc,
            check_slice(z_slice) if z_slice is not None else self.z_slice,
            lazy,
        )
