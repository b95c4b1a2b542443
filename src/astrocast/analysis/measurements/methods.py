"""What can be measured on events beyond what detection stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from astrocast.analysis import groups
from astrocast.analysis.cache import ResultCache, table_hash
from astrocast.analysis.measurements import compute as measured
from astrocast.analysis.sources import Source
from astrocast.events.array_columns import TraceArray
from astrocast.settings.analysis import (
    ExtensionSettings,
    PhysiologySettings,
    SurroundingsSettings,
)


class Measurements:
    """The measuring half of `astrocast.analysis.Events`: works on its table and its
    recordings.
    """

    events: pd.DataFrame
    sources: list[Source]
    cache_path: Path | None
    seed: int

    def extend(
        self,
        frames: int | tuple[int, int] | None = None,
        by: str = "footprint",
        inplace: bool = True,
    ) -> Any:
        """Continue the traces beyond their events.

        Parameters
        ----------
        frames
            Frames to add on both sides, or (before, after); None: to the ends of the
            recording.
        by
            What is averaged outside the event: its whole ``footprint``, or the pixels
            of its first (before) and last (after) frame, ``edge``.
        inplace
            Change the column ``trace`` and return None, or return the table.

        Notes
        -----
        ``z0_trace`` says which frame each trace begins with; ``z0``, ``z1`` and the
        mask stay those of the event.
        """
        settings = ExtensionSettings.checked(frames=frames, by=by)
        table = measured.extended(self.events, self.sources, settings, self._kept)
        if not inplace:
            return table
        self.events = table
        return None

    def noise_traces(self, gap: int = 1, width: int = 4) -> TraceArray:
        """Return a trace per event of its surroundings: a ring around its footprint,
        without the pixels of any event.

        Parameters
        ----------
        gap, width
            Pixels between event and ring, and of the ring.
        """
        settings = SurroundingsSettings.checked(gap=gap, width=width)
        return measured.noise_traces(self.events, self.sources, settings, self._kept)

    def physiology(
        self,
        signal: str = "dFF",
        context: int = 0,
        *,
        pixel_size: Any = None,
        frame_rate: float | None = None,
        background: Any = None,
        landmarks: Mapping[str, Any] | None = None,
        share: float = 0.0,
        size_ratio: float = 0.5,
        inplace: bool = True,
    ) -> pd.DataFrame:
        """Add time course, shape, propagation and company of each event:
        `astrocast.events.physiology_schema`.

        Parameters
        ----------
        signal
            What the recording holds: ``dFF``, ``dF`` or ``F`` (fluorescence).
        context
            Frames before and after the event to look at; needs the recording. Without
            it, an event that begins above 10% of its height has no onset (NaN).
        pixel_size, frame_rate
            Micrometres (one number, or height and width) and Hz; those of the recording
            when None, pixels and frames where these are not known.
        background
            Recording of F0 (the background of `Delta`), for dF/F of a dF recording.
        landmarks
            Name -> point (row, column) or mask (rows, columns); adds distance and
            direction to each.
        share, size_ratio
            When two events are at the same place, and of similar size.
        inplace
            Whether these events get the columns too.

        Returns
        -------
        pandas.DataFrame
            The new columns.
        """
        settings = PhysiologySettings.checked(
            signal=signal, context=context, share=share, size_ratio=size_ratio
        )
        found = measured.physiology(
            self.events,
            self.sources,
            settings,
            calibration=(pixel_size, frame_rate),
            background=background,
            landmarks=landmarks or {},
            kept=self._kept,
        )
        if inplace:
            self.events = self.events.assign(
                **{str(name): column for name, column in found.items()}
            )
        return found

    def average_traces(
        self, group: str | None = None, align: str = "onset"
    ) -> pd.DataFrame:
        """Return the mean trace per group: columns group, frame (from the alignment),
        mean, std, n.
        """
        return groups.average(self.events, group, align)

    def frequency(
        self, bin_width: float, group: str | None = None, *, time: str | None = None
    ) -> pd.DataFrame:
        """Return how many events begin per unit of time, in bins, per group.

        Parameters
        ----------
        bin_width
            Width of a bin, in the unit of ``time``.
        group
            Column to tell apart by.
        time
            Column with the time an event begins at; ``t0`` where there is one, else
            ``z0`` (frames).
        """
        return measured.frequency(self.events, self.sources, bin_width, group, time)

    def summary(
        self, group: str | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return n, mean, std, sem and quartiles of columns (all ``v_*``, ``dz``,
        ``dt`` when None) per group.
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
        """Return events that begin around each stimulus: rows the stimuli, columns the
        time from it.

        Parameters
        ----------
        stimuli
            Times of the stimuli, in the unit of ``time``.
        before, after
            How far to look.
        bin_width
            Width of a bin; no bin spans a stimulus.
        time
            As for `frequency`.
        """
        return groups.trials(
            self.events,
            stimuli,
            (before, after),
            bin_width,
            measured.time_column(self.events, time),
        )

    def _kept(
        self, name: str, inputs: dict[str, Any], compute: Callable[[], Any]
    ) -> Any:
        """Return a result from the cache, or compute and keep it; the table's content
        is always an input.
        """
        if self.cache_path is None:
            return compute()
        inputs = inputs | {"table": table_hash(self.events)}
        return ResultCache(self.cache_path, self.seed).arrays(name, inputs, compute)
