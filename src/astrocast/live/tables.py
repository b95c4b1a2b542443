"""The tables of the live analysis, which grow with the recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.run import extra_columns
from astrocast.events.measure_schema import Units
from astrocast.io.recording import Metadata
from astrocast.io.stores.event_table_writer import EventTableWriter
from astrocast.io.stores.frame_quality import build_frame_table
from astrocast.io.stores.frame_quality import write_table as write_frame_table
from astrocast.live.event import LiveState
from astrocast.live.registration import FrameFlag
from astrocast.runtime.provenance import write_json

#: files in the folder of the live analysis; the user creates the last one to stop it
STATE, FRAMES, SHIFTS, STOP = "state.json", "frames.csv", "shifts.csv", "stop"


class LiveTables:
    """Writes ``events.csv``, ``frames.csv`` and ``shifts.csv`` while frames come.

    ``events.parquet``, with masks and traces, appears at the end.

    Parameters
    ----------
    folder
        Folder of the tables; it must exist.
    metadata
        Frame rate and pixel size: they decide the units, and so the columns.
    """

    def __init__(self, folder: Path, metadata: Metadata) -> None:
        self.folder = folder
        units = Units(metadata.frame_rate is not None, metadata.pixel_size is not None)
        self._events = EventTableWriter(folder, extra_columns(units, True), True)
        self._flags = (folder / FRAMES).open("w", encoding="utf-8", newline="")
        # the number of frames is not known yet
        self._flags.write("# frames of the recording: -1\nframe,kind,reason,severity\n")
        self._flags.flush()
        self._shifts = (folder / SHIFTS).open("w", encoding="utf-8", newline="")
        self._shifts.write("frame,row_px,column_px\n")
        #: number of bad frames so far
        self.bad_frames = 0

    def add_events(self, batches: Sequence[tuple[NDArray[np.int64], Any]]) -> None:
        """Append rows of events."""
        for numbers, rows in batches:
            self._events.write(numbers, rows)

    def add_flags(self, flags: Sequence[FrameFlag]) -> None:
        """Append bad frames."""
        if not flags:
            return
        table = build_frame_table(flags, -1)
        table.to_csv(self._flags, index=False, header=False, lineterminator="\n")
        self._flags.flush()
        self.bad_frames += table["frame"].nunique()

    def add_shifts(self, first: int, shifts: NDArray[np.float64]) -> None:
        """Append the shifts of frames from ``first`` on, (frame, 2), in pixels."""
        self._shifts.writelines(
            f"{frame},{row:.3f},{column:.3f}\n"
            for frame, (row, column) in enumerate(shifts.tolist(), first)
        )
        self._shifts.flush()

    def write_state(self, state: LiveState) -> None:
        """Replace ``state.json``."""
        write_state(self.folder, state)

    def end(self, frames: int) -> None:
        """Write the number of frames into the table of bad frames."""
        import pandas as pd

        self._flags.flush()
        path = self.folder / FRAMES
        table = pd.read_csv(path, comment="#", keep_default_na=False)
        write_frame_table(path, table, frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._flags.close()
        self._shifts.close()
        self._events.__exit__(kind, error, tb)


def write_state(folder: Path, state: LiveState) -> None:
    """Replace ``state.json`` in a folder of the live analysis."""
    write_json(folder / STATE, state.to_dict())
