"""Find events of one channel that coincide with events of another channel."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from astrocast.events.measure_schema import column_in
from astrocast.io.export.tables import harmless
from astrocast.io.stores.event_map import open_event_map
from astrocast.io.stores.event_table import read_events
from astrocast.io.writing.files import replacing
from astrocast.kernels.event_features.coincidence import merge_counts, shared_voxels
from astrocast.runtime.blocks import frames_per_block, plan_blocks, read_blocks


def write_coincidences(stores: dict[str, Path], path: Path) -> int:
    """Write a table of pairs of events of different channels that share voxels.

    The columns are ``channel_a``, ``event_a``, ``channel_b``, ``event_b``,
    ``shared_voxels``, ``share_of_a``, ``share_of_b`` (shared voxels / voxels of the
    event), and ``onset_lag_s`` or ``onset_lag_frames`` (onset in b minus onset in a).

    Parameters
    ----------
    stores
        Channel -> event store; all event maps have the same shape.
    path
        CSV file to write; an existing file is replaced.

    Returns
    -------
    int
        The number of pairs.
    """
    tables = [
        _find_pairs((a, stores[a]), (b, stores[b])) for a, b in combinations(stores, 2)
    ]
    found = pd.concat(tables, ignore_index=True)
    with replacing(path) as beside:
        harmless(found).to_csv(beside, index=False)
    return len(found)


def _find_pairs(first: tuple[str, Path], second: tuple[str, Path]) -> pd.DataFrame:
    """Return the pairs of events of two channels, each given as (name, store)."""
    parts = []
    with open_event_map(first[1]) as one, open_event_map(second[1]) as other:
        blocks = list(plan_blocks(len(one), frames_per_block(one)))
        for block, labels in read_blocks(one, blocks):
            parts.append(shared_voxels(labels, other.read(block.start, block.stop)))
    pairs, counts = merge_counts(parts)
    a, b = (
        read_events(store).loc[pairs[:, i]]
        for i, (_, store) in enumerate((first, second))
    )
    onset = column_in(a.columns, "onset") or "z0"
    ending = "s" if onset == "onset_s" else "frames"
    lag = b[onset].to_numpy(np.float64) - a[onset].to_numpy(np.float64)
    return pd.DataFrame(
        {
            "channel_a": first[0],
            "event_a": pairs[:, 0],
            "channel_b": second[0],
            "event_b": pairs[:, 1],
            "shared_voxels": counts,
            "share_of_a": counts / a["v_area"].to_numpy(),
            "share_of_b": counts / b["v_area"].to_numpy(),
            f"onset_lag_{ending}": lag,
        }
    )
