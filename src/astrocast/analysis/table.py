"""Analyses of an event table that do not need the recording."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis import groups
from astrocast.analysis import trace_formats as formats
from astrocast.analysis.cache import table_hash
from astrocast.analysis.loading import select_events
from astrocast.analysis.sources import Source
from astrocast.errors import AstrocastWarning, stack_level
from astrocast.events.array_columns import TraceArray
from astrocast.settings.analysis import LengthSettings, normalization_steps


class EventTable:
    """The part of `astrocast.analysis.Events` that needs only the table.

    Parameters
    ----------
    events
        One row per event.
    sources
        The recordings in which the events were detected.
    seed
        Part of the content hash.
    """

    def __init__(
        self, events: pd.DataFrame, sources: list[Source], seed: int = 1
    ) -> None:
        self.events, self.sources, self.seed = events, sources, seed

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, item: Any) -> Any:
        """Rows by position: one event for an int, a table for a slice or a list."""
        return self.events.iloc[item]

    def __repr__(self) -> str:
        names = ", ".join(s.name for s in self.sources[:3]) + (
            " ..." if len(self.sources) > 3 else ""
        )
        return (
            f"<Events: {len(self)} events of {len(self.sources)} recording(s): {names}>"
        )

    def __hash__(self) -> int:
        return int(self.content_hash[:15], 16)

    @property
    def content_hash(self) -> str:
        """Hash of the table and the seed, 32 hex digits; equal for equal content.

        It covers the index, the columns and all values (also traces and masks), but not
        the path of the files.
        """
        text = f"{self.seed}:{table_hash(self.events)}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def num_frames(self) -> int:
        """Number of frames of the recording (or slice); the longest of several."""
        return max(s.shape[0] for s in self.sources)

    def copy(self) -> Self:
        """Return a copy with its own table, traces and masks.

        A recording and an event map on disk are read-only and shared.
        """
        other = copy.copy(self)
        other.events = self.events.copy(deep=True)
        for name, column in other.events.items():
            if column.dtype == object:  # pandas copies the column, not the arrays in it
                other.events[name] = pd.Series(
                    [copy.deepcopy(v) for v in column], index=column.index, dtype=object
                )
        other.sources = list(self.sources)
        return other

    def filter(
        self, filters: Mapping[str, Any], inplace: bool = True
    ) -> pd.DataFrame | None:
        """Select the events that meet all filters.

        Parameters
        ----------
        filters
            Column -> allowed values. Numbers and times: (low, high), inclusive; None
            means no limit; NaN never meets a limit. Text, categories and booleans: the
            allowed values.
        inplace
            True: change these events and return None. False: return the selected table.
        """
        table = self.events[select_events(self.events, filters)]
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
            ``{order: "name"}`` or ``{order: ["name", {parameters}]}``, applied in the
            order of the keys. Parameters of ``subtract`` and ``divide``: ``mode``
            (first, mean, median, min, min_abs, max, max_abs, std, std_mean, std_median,
            std_max; default: subtract the minimum, divide by the maximum),
            ``population_wide`` (one number for all traces) and ``rows`` (False: one
            number per frame of the trace instead of one per trace). ``min_max`` and
            ``mean_std`` have the last two; ``diff`` has none; ``impute_nan`` has
            ``fixed_value``. See `astrocast.kernels.ragged.normalize`.
        inplace
            True: change the column ``trace`` and return None. False: return the traces
            as an object array of arrays.
        """
        traces = formats.normalize_traces(
            formats.traces_of(self.events), normalization_steps(normalize_instructions)
        )
        if not inplace:
            return formats.object_array(traces)
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
        """Pad short traces and cut long ones.

        ``dz`` becomes the new length; ``z0`` and ``z1`` do not change.

        Parameters
        ----------
        min_length, max_length
            Shortest and longest trace, in frames; give one or both. Equal values give
            traces of equal length.
        pad_mode
            One of NumPy's pad modes.
        inplace
            Whether to change these events as well.
        align
            Part of the trace that stays at its position: ``start`` (pad and cut at the
            end), ``end`` or ``center``.
        """
        settings = LengthSettings.checked(
            min_length=min_length, pad_mode=pad_mode, max_length=max_length, align=align
        )
        table = formats.resize_traces(self.events, settings)
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
            Table to use instead of these events.
        empty_as_nan
            True: frames outside the event are NaN. False: return a masked array.
        ragged
            Return an object array of traces instead, which needs less memory.

        Returns
        -------
        numpy.ndarray
            float32 (events, frames of the recording or of its slice): each trace at the
            frames of its event.
        """
        table = self.events if events is None else events
        if ragged:
            return formats.object_array(formats.traces_of(table))
        first = self.sources[0].first_frame
        return formats.place_traces(
            table, first, self.num_frames, masked=not empty_as_nan
        )

    def to_tsfresh(self, show_progress: bool = False) -> pd.DataFrame:
        """Return the traces as a long table for tsfresh.

        Columns: ``id``, ``time`` (from 0 in each event), ``dim_0``; NaN becomes 0.
        ``show_progress`` has no effect, because the conversion is fast.
        """
        return formats.long_table(self.events)

    def add_clustering(
        self, cluster_lookup_table: Mapping[Any, Any], column_name: str = "cluster"
    ) -> None:
        """Add a column with the label of each event, from a table index -> label.

        An existing column is replaced, with a warning. Events that are missing in the
        lookup table get its default if it is a defaultdict, otherwise no label.
        """
        if column_name in self.events:
            warnings.warn(
                f"the existing column {column_name!r} is replaced",
                AstrocastWarning,
                stacklevel=stack_level(),
            )
        labels = groups.labels_of_events(self.events.index, cluster_lookup_table)
        self.events = self.events.assign(**{column_name: labels})

    def create_lookup_table(
        self, labels: Sequence[Any], default_cluster: Any = -1
    ) -> dict[Any, Any]:
        """Return event index -> label, from labels in the order of the events.

        All other indices give ``default_cluster``.
        """
        return groups.lookup_table(self.events.index, labels, default_cluster)

    def get_counts_per_cluster(
        self, cluster_col: str, group_col: str | None = None
    ) -> pd.DataFrame:
        """Return the number of events per cluster (rows) and group (columns).

        Without ``group_col`` there is one column, ``counts``.
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
        """Draw a clustered heat map of counts; return it and its quality scores.

        Parameters
        ----------
        counts
            From `get_counts_per_cluster`: one row per cluster, one column per group.
        normalize_instructions
            As for `normalize`; each row of ``counts`` is treated as a trace.
        method, metric
            Linkage and distance, as in `scipy.cluster.hierarchy.linkage`.
        z_score
            0 standardises each *row*, 1 each *column*, None neither, as in
            `seaborn.clustermap`. (The documentation of astroCAST 0.4 swaps the two, but
            its results are the same as here.)
        center
            Value at the centre of the colour map.
        transpose
            Swap rows and columns before drawing (and before the z-score).
        color_palette
            Palette of the groups if ``group_cmap`` is ``"auto"``.
        group_cmap
            Group -> colour, ``"auto"``, or None for no colours.
        cmap
            Colour map of the heat map.

        Returns
        -------
        (seaborn.matrix.ClusterGrid, dict)
            The figure and the scores of `plotting.clusters.clustering_scores`.
        """
        from astrocast.plotting.clusters import cluster_counts

        if normalize_instructions is not None:
            rows = TraceArray._from_sequence(list(counts.to_numpy(np.float64)))
            scaled = formats.normalize_traces(
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

    def average_traces(
        self, group: str | None = None, align: str = "onset"
    ) -> pd.DataFrame:
        """Return the mean trace per group.

        Parameters
        ----------
        group
            Column to group by; None: all events together.
        align
            Frame 0 is the first frame of each trace (``onset``) or its maximum
            (``peak``).

        Returns
        -------
        pandas.DataFrame
            Columns group, frame (from the alignment), mean, std, n.
        """
        return groups.average(self.events, group, align)

    def frequency(
        self, bin_width: float, group: str | None = None, *, time: str | None = None
    ) -> pd.DataFrame:
        """Return the rate of onsets over time, in bins, per group.

        Parameters
        ----------
        bin_width
            Width of a bin, in the unit of ``time``.
        group
            Column to group by; None: all events together.
        time
            Column with the onset time; None: ``t0`` if the table has it, else ``z0``
            (frames). Several recordings are pooled in seconds from their starts if all
            frame rates are known.

        Returns
        -------
        pandas.DataFrame
            Rows are bins (left edges), columns are groups. For ``z0`` the bins cover
            the whole recording.

        Raises
        ------
        InvalidValueError
            Only some of several recordings have a frame rate: seconds and frames cannot
            be pooled.
        """
        frames = (
            min(s.first_frame for s in self.sources),
            max(s.first_frame + s.shape[0] for s in self.sources),
        )
        if time is None and len(self.sources) > 1 and "t0" not in self.events:
            rates = {s.name: s.metadata.frame_rate for s in self.sources}
            lengths = {s.name: s.shape[0] for s in self.sources}
            return groups.pooled_frequency(
                self.events, group, bin_width, rates, lengths
            )
        column = groups.time_column(self.events, time)
        edges = groups.bin_edges(self.events, column, bin_width, frames)
        return groups.frequency(self.events, group, edges, column)

    def summary(
        self, group: str | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return n, mean, std, sem and quartiles of columns per group.

        ``columns`` None: all numeric columns ``v_*``, ``dz`` and ``dt``.
        """
        return groups.summary(self.events, group, columns)

    def trials(
        self,
        stimuli: Sequence[float],
        before: float,
        after: float,
        bin_width: float = 1.0,
        *,
        time: str | None = None,
    ) -> pd.DataFrame:
        """Return the number of onsets around each stimulus.

        Parameters
        ----------
        stimuli
            Times of the stimuli, in the unit of ``time``.
        before, after
            Time to cover before and after each stimulus, in the same unit.
        bin_width
            Width of a bin, in the same unit; the stimulus is an edge of two bins.
        time
            As for `frequency`.

        Returns
        -------
        pandas.DataFrame
            Rows are stimuli, columns the time from the stimulus (left edges of bins).
        """
        return groups.trials(
            self.events,
            stimuli,
            (before, after),
            bin_width,
            groups.time_column(self.events, time),
        )
