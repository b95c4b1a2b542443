"""How far the live analysis and the full one agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.stores.event_table import read_events
from astrocast.simulation.scoring import score


def event_voxels(store: Path, size: tuple[int, int]) -> list[NDArray[np.int64]]:
    """Return the voxels of each event of a store, flat indices of the recording.

    Parameters
    ----------
    store
        Folder with an event table.
    size
        Rows and columns of a frame.
    """
    table = read_events(store, ["mask", "z0", "x0", "y0"])
    found = []
    for mask, z, x, y in zip(
        table["mask"], table["z0"], table["x0"], table["y0"], strict=True
    ):
        frame, row, column = np.nonzero(mask)
        found.append(((frame + z) * size[0] + row + x) * size[1] + column + y)
    return found


def compare_tables(live: Path, full: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Return how far the events of the live table are those of the full analysis.

    Parameters
    ----------
    live, full
        Folders with an event table.
    size
        Rows and columns of a frame.

    Returns
    -------
    dict
        ``f1`` of events that share at least half of their voxels (intersection over
        union), the full analysis taken as the truth, ``recall`` and ``precision``,
        ``mean_iou`` of these pairs, and the number of ``live`` and ``full`` events.
    """
    found = score(event_voxels(full, size), event_voxels(live, size))
    iou = found.mean_iou
    return {
        "f1": round(found.f1, 4),
        "precision": round(found.precision, 4),
        "recall": round(found.recall, 4),
        "mean_iou": None if np.isnan(iou) else round(iou, 4),
        "live": found.n_found,
        "full": found.n_truth,
    }
