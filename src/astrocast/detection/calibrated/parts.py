"""The parts of events: maxima that a stricter rule separates.

An event that travels or has several peaks is one event in the table. Its parts are
stored in a second table, so that users can analyse either level.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: name of the table in the event store
PARTS = "parts.parquet"


def build_parts(
    parts: list[NDArray[np.float64]],
    numbers: NDArray[np.int64],
    shape: tuple[int, int, int],
) -> pd.DataFrame:
    """Return the table of parts, one row each, in the order of events.

    Parameters
    ----------
    parts
        For each event, float64 (part, 3): flat index of the highest voxel, height in
        standard deviations of the noise, number of voxels.
    numbers
        Number of each event in the event table.
    shape
        Shape of the recording, (frame, row, column).

    Returns
    -------
    pandas.DataFrame
        Columns: ``event``; ``part``, from 1, the highest first; ``z``, ``x``, ``y``:
        frame, row and column of the peak; ``height`` in standard deviations of the
        noise; ``voxels``: their number.

    Examples
    --------
    >>> one = np.array([[25.0, 9.0, 40.0], [5.0, 7.0, 12.0]])
    >>> build_parts([one], np.array([3]), (2, 4, 5))["z"].tolist()
    [1, 0]
    """
    rows = np.concatenate([np.empty((0, 3)), *parts])
    count = [len(part) for part in parts]
    event = np.repeat(np.asarray(numbers, np.int64), count)
    place = [np.arange(1, n + 1) for n in count]
    z, x, y = np.unravel_index(rows[:, 0].astype(np.int64), shape)
    table = pd.DataFrame(
        {
            "event": event,
            "part": np.concatenate([np.empty(0, np.int64), *place]),
            "z": z,
            "x": x,
            "y": y,
            "height": rows[:, 1],
            "voxels": rows[:, 2].astype(np.int64),
        }
    )
    return table.sort_values(["event", "part"], ignore_index=True)


def write_parts(folder: Path, table: pd.DataFrame) -> None:
    """Store the table of parts in an event store."""
    table.to_parquet(folder / PARTS, index=False)


def finish_parts(folder: Path, first_frame: int, divided: bool) -> None:
    """Convert frames to frames of the recording; remove the table after a division.

    Parameters
    ----------
    folder
        The event store.
    first_frame
        Frame of the recording that was frame 0 of the detection.
    divided
        Whether events were divided after the detection. Then the event numbers in the
        table of parts are wrong, and the table is removed.
    """
    path = folder / PARTS
    if divided:
        path.unlink(missing_ok=True)
    elif first_frame:
        table = pd.read_parquet(path)
        write_parts(folder, table.assign(z=table["z"] + first_frame))
