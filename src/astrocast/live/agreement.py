"""Comparison of the events of the live analysis and of the full analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.io.stores.event_table import read_events
from astrocast.io.stores.registration_store import read_registration
from astrocast.live.tables import SHIFTS
from astrocast.simulation.scoring import score


def template_offset(live: Path, recording: Path, loc: str) -> tuple[int, int]:
    """Return the shift between the templates of both analyses, in whole pixels.

    The live template is made of the first frames, the full template of all frames. If
    the tissue drifts, it is at different places in them. (0, 0) if the recording was
    not registered.

    Parameters
    ----------
    live
        Folder of the live analysis.
    recording, loc
        File and location of the registered movie of the full analysis.

    Returns
    -------
    tuple
        Rows and columns to add to coordinates of the live analysis.
    """
    found = read_registration(recording, loc)
    if found is None or not (live / SHIFTS).is_file():
        return 0, 0
    table = pd.read_csv(live / SHIFTS)
    table = table[table["frame"] < len(found.shifts)]
    if table.empty:
        return 0, 0
    own = table[["row_px", "column_px"]].to_numpy()
    apart = np.median(own - found.shifts[table["frame"].to_numpy()], axis=0)
    return int(np.rint(apart[0])), int(np.rint(apart[1]))


def event_voxels(
    store: Path, size: tuple[int, int], offset: tuple[int, int] = (0, 0)
) -> list[NDArray[np.int64]]:
    """Return the voxels of each event of a store, as flat indices in the recording.

    Parameters
    ----------
    store
        Folder with an event table.
    size
        Rows and columns of a frame.
    offset
        Rows and columns to add; voxels outside the frame are removed.
    """
    table = read_events(store, ["mask", "z0", "x0", "y0"])
    found = []
    for mask, z, x, y in zip(
        table["mask"], table["z0"], table["x0"], table["y0"], strict=True
    ):
        frame, row, column = np.nonzero(mask)
        row, column = row + x + offset[0], column + y + offset[1]
        seen = (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])
        found.append((((frame + z) * size[0] + row) * size[1] + column)[seen])
    return found


def compare_tables(
    live: Path, full: Path, size: tuple[int, int], offset: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    """Compare the events of the live table with those of the full analysis.

    Parameters
    ----------
    live, full
        Folders with an event table.
    size
        Rows and columns of a frame.
    offset
        See `template_offset`.

    Returns
    -------
    dict
        ``f1``, ``recall`` and ``precision`` with the full analysis as truth (two events
        are a pair if their intersection over union is at least 0.5), ``mean_iou`` of
        the pairs, the numbers of ``live`` and ``full`` events, and ``offset_px``.
    """
    found = score(event_voxels(full, size), event_voxels(live, size, offset))
    iou = found.mean_iou
    return {
        "f1": round(found.f1, 4),
        "precision": round(found.precision, 4),
        "recall": round(found.recall, 4),
        "mean_iou": None if np.isnan(iou) else round(iou, 4),
        "live": found.n_found,
        "full": found.n_truth,
        "offset_px": list(offset),
    }
