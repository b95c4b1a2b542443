"""`Events`: the events of a recording, together with the recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike

from astrocast.analysis import maps
from astrocast.analysis.cache import ResultCache
from astrocast.analysis.exports import EventExports
from astrocast.analysis.loading import CustomColumns, check_slice
from astrocast.analysis.measurements import compute
from astrocast.analysis.sources import Source, load_recordings, single_source
from astrocast.analysis.table import EventTable
from astrocast.analysis.times import FrameFunction, FrameMapping
from astrocast.analysis.video import Video
from astrocast.analysis.viewing import show_events
from astrocast.events.array_columns import TraceArray
from astrocast.io.recording import Metadata
from astrocast.settings.analysis import (
    ExtensionSettings,
    PhysiologySettings,
    SurroundingsSettings,
)

if TYPE_CHECKING:
    from astrocast.analysis.plots import EventPlots

_CUSTOM_COLUMNS = ("v_area_norm", "cx", "cy")


class Events(EventTable):
    """Detected events of one recording, or of several.

    Parameters
    ----------
    event_dir
        Event store (directory written by the detection) or run directory, or a list of
        them. Directories of astroCAST 0.4 can be read as well, without running code
        that they contain.
    lazy
        True: event map and recording stay on disk (dask arrays). False: both are read
        into memory (NumPy).
    data
        The recording: a path, NumPy or dask array, `Video`, or ``"infer"`` (the
        recording with the same stem beside the directory); or a list of these, one per
        directory. Only some methods need the recording.
    loc
        Dataset of the recording, in formats that contain several.
    group, subject_id
        Group and subject of the events; for several directories a list, or one value
        for all.
    z_slice
        Frames (first, last + 1) to use. The table contains only events that lie
        completely inside; event map and recording are cut. Frame numbers (``z0``,
        ``z1``) still count from the start of the whole recording.
    index_prefix
        Text before the number of each event in the index. With several directories the
        name of the recording is added as well, see `MultiEvents`.
    custom_columns
        Names of columns to compute: ``v_area_norm`` = v_area / dz; ``v_area_footprint``
        in px²; ``cx`` and ``cy``, centre of the footprint in the frame (row, column);
        ``contours``, the outlines of each event. Or ``{name: function of the table}``,
        or a list of both.
    frame_to_time_mapping, frame_to_time_function
        Time of each frame, as a dict, a list or a function of the frame (or a list of
        these, one per directory); adds ``t0``, ``t1`` and ``dt`` = t1 - t0. Default:
        the times in the recording if its frames are unevenly spaced.
    cache_path
        Directory to store results that take long (`physiology`, `extend`,
        `noise_traces`). The file name contains a hash of everything that the result
        depends on, so an outdated result is never used.
    seed
        Part of this hash.
    curated
        Apply the decisions made in the explorer (`astrocast explore`): rejected events
        are left out; merged, split and drawn events are included. True: decisions
        without a name; a text: those of this curator. The files of the detection are
        not changed.
    columns
        Columns to read, in addition to the bounding box of each event, to save memory.
        ``custom_columns`` are then computed only if they are given. None: all.

    Attributes
    ----------
    events : pandas.DataFrame
        One row per event. Columns of arrays (``trace``, ``mask`` ...) are packed, see
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
        custom_columns: CustomColumns = _CUSTOM_COLUMNS,
        frame_to_time_mapping: FrameMapping | None = None,
        frame_to_time_function: FrameFunction | Sequence[FrameFunction] | None = None,
        cache_path: str | Path | None = None,
        seed: int = 1,
        *,
        curated: bool | str = False,
        columns: Sequence[str] | None = None,
    ) -> None:
        if columns is not None and custom_columns == _CUSTOM_COLUMNS:
            custom_columns = ()
        self.lazy, self.loc = lazy, loc
        self.z_slice = check_slice(z_slice) if z_slice is not None else None
        self.cache_path = Path(cache_path) if cache_path is not None else None
        events, sources = load_recordings(
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
            curated=curated,
            columns=columns,
        )
        super().__init__(events, sources, seed)
        self.event_dir = (
            sources[0].directory
            if len(sources) == 1
            else [s.directory for s in sources]
        )
        self._map: Any = None if lazy else self.event_map

    # ---------------------------------------------------------------------------------
    # the recording

    @property
    def source(self) -> Source:
        """The recording of these events; an error if there are several."""
        return single_source(self.sources)

    @property
    def data(self) -> Video | None:
        """The recording, cut to ``z_slice``; None if it was not given."""
        return self.source.video

    @property
    def event_map(self) -> Any:
        """The event map (labels), cut to ``z_slice``; None if the directory has none.

        A dask array if lazy, else NumPy.
        """
        if getattr(self, "_map", None) is not None:
            return self._map
        return self.get_event_map(self.source.directory, self.z_slice, self.lazy)[0]

    @property
    def metadata(self) -> Metadata:
        """Pixel size and frame rate, if the recording or the store states them."""
        return self.source.metadata

    @property
    def plot(self) -> EventPlots:
        """Figures of these events, as in ``events.plot.raster()``."""
        # imported here because matplotlib takes long to import
        from astrocast.analysis.plots import EventPlots

        return EventPlots(self.events, self.sources)

    @property
    def export(self) -> EventExports:
        """Write files for other programs, as in ``events.export.csv(path)``."""
        return EventExports(self.events, self.sources)

    def copy(self) -> Self:
        """Return a copy with its own table, traces, masks and event map in memory.

        A recording and an event map on disk are read-only and shared.
        """
        other = super().copy()
        if isinstance(self._map, np.ndarray):
            other._map = self._map.copy()
        return other

    # ---------------------------------------------------------------------------------
    # read from the recording

    def extend(
        self,
        frames: int | tuple[int, int] | None = None,
        by: str = "footprint",
        inplace: bool = True,
    ) -> pd.DataFrame | None:
        """Extend the traces beyond their events, from the recording.

        Parameters
        ----------
        frames
            Number of frames to add on both sides, or (before, after); None: up to the
            ends of the recording.
        by
            Pixels to average before and after the event: its whole ``footprint``, or
            (``edge``) the pixels of its first frame before and of its last frame after.
        inplace
            True: change the column ``trace`` and return None. False: return the table.

        Notes
        -----
        The new column ``z0_trace`` is the first frame of each trace; ``z0``, ``z1`` and
        the mask do not change.
        """
        settings = ExtensionSettings.checked(frames=frames, by=by)
        table = compute.extend_by_recording(
            self.events, self.sources, settings, self._cache
        )
        if not inplace:
            return table
        self.events = table
        return None

    def noise_traces(self, gap: int = 1, width: int = 4) -> TraceArray:
        """Return the mean trace of a ring around each event, from the recording.

        In each frame, pixels that belong to any event are left out.

        Parameters
        ----------
        gap
            Pixels between the event's footprint and the ring.
        width
            Width of the ring in pixels.

        Returns
        -------
        TraceArray
            One float32 trace per event, as long as the event; NaN if no pixel remains.
        """
        settings = SurroundingsSettings.checked(gap=gap, width=width)
        return compute.noise_by_recording(
            self.events, self.sources, settings, self._cache
        )

    def physiology(
        self,
        signal: str = "dFF",
        context: int | None = None,
        *,
        pixel_size: Any = None,
        frame_rate: float | None = None,
        background: Any = None,
        landmarks: Mapping[str, Any] | None = None,
        share: float = 0.0,
        size_ratio: float = 0.5,
        inplace: bool = True,
    ) -> pd.DataFrame:
        """Add columns of time course, shape, propagation and neighbours of each event.

        The columns are described in `astrocast.events.physiology_schema`.

        Parameters
        ----------
        signal
            Signal of the recording: ``dFF``, ``dF`` or ``F`` (fluorescence).
        context
            None: times and amplitudes are computed from the stored trace over the fixed
            footprint, which includes frames before and after the event; ``signal`` is
            then not needed. A number: the column ``trace`` is extended by this many
            frames from the recording. 0: ``trace`` is used unchanged; the onset is then
            NaN if the event begins above 10% of its height.
        pixel_size, frame_rate
            Micrometres (one number, or height and width) and Hz. None: those of the
            recording; if they are unknown, results are in pixels and frames.
        background
            Recording of F0 (the background of `Delta`), for dF/F of a dF recording.
        landmarks
            Name -> point (row, column) or mask (rows, columns); adds the distance and
            direction to each landmark.
        share
            Two events are at the same place if they share more than this fraction of
            the smaller footprint.
        size_ratio
            Two events have a similar size if smaller / larger footprint is above this.
        inplace
            Whether to add the columns to these events as well.

        Returns
        -------
        pandas.DataFrame
            The new columns.
        """
        settings = PhysiologySettings.checked(
            signal=signal, context=context, share=share, size_ratio=size_ratio
        )
        columns = compute.physiology_by_recording(
            self.events,
            self.sources,
            settings,
            calibration=(pixel_size, frame_rate),
            background=background,
            landmarks=landmarks or {},
            cache=self._cache,
        )
        if inplace:
            self.events = self.events.assign(
                **{str(name): column for name, column in columns.items()}
            )
        return columns

    @property
    def _cache(self) -> ResultCache:
        return ResultCache(self.cache_path, self.seed)

    # ---------------------------------------------------------------------------------
    # the event map

    @staticmethod
    def get_event_map(
        event_dir: str | Path, z_slice: tuple[int, int] | None = None, lazy: bool = True
    ) -> tuple[Any, Any, Any]:
        """Return the event map of a directory, its shape and its dtype.

        Parameters
        ----------
        event_dir
            Event store: directory written by the detection.
        z_slice
            Frames (first, last + 1).
        lazy
            True: a dask array, which reads when it is computed. False: NumPy.

        Returns
        -------
        tuple
            (map, shape, dtype); three times None if the directory has no map.
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
        """Make the event map (labels) from a table of events.

        Parameters
        ----------
        events
            Events with ``mask``, ``z0``, ``x0``, ``y0``. The label is ``event_id``, or
            the index. If events share a voxel, the event whose ``mask_hidden`` does not
            contain the voxel is drawn; without this column, the last event.
        video_dim
            (frames, rows, columns).
        dtype
            Integer type of the labels.
        show_progress
            Report to the progress display, if one is active.
        save_path
            Write the map to this file (.tiff, .h5, .zarr, .tdb) block by block, and
            return it as a lazy dask array.
        first_frame
            Number of the first frame of the map in the recording.

        Raises
        ------
        ValueError
            The table has no column ``mask``.
        """
        return maps.paint_map(
            events,
            video_dim,
            dtype,
            save_path=Path(save_path) if save_path else None,
            first_frame=first_frame,
            show_progress=show_progress,
        )

    def show_event_map(
        self,
        video: Any = None,
        loc: str | None = None,
        z_slice: tuple[int, int] | None = None,
        lazy: bool = True,
    ) -> Any:
        """Open napari with the recording and the events over it.

        napari shows the table row of the event under the cursor.

        Parameters
        ----------
        video
            Recording to show: path or array; None: that of these events.
        loc
            Dataset of this recording.
        z_slice
            Frames (first, last + 1) of the whole recording; None: the slice of these
            events.
        lazy
            True: read frames when they are shown. False: read all at once.

        Returns
        -------
        napari.Viewer
        """
        chosen = check_slice(z_slice) if z_slice is not None else self.z_slice
        return show_events(self.events, self.source, video, loc, chosen, lazy)
