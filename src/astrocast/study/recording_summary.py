"""Summarise a run for the table of recordings: counts, rates, quality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astrocast.io.stores.event_store import list_stores
from astrocast.io.stores.event_table import read_plain_columns
from astrocast.io.stores.frame_quality import (
    LEAVE_OUT,
    list_run_tables,
    read_table,
)
from astrocast.pipeline.directory import RUN_FILE

#: columns whose median over the events is in the table of recordings; of each tuple,
#: the first column that the event table has
MEDIANS = (
    ("duration_s", "duration_frames", "v_length"),
    ("area_um2", "area_px", "v_fp_area"),
    ("peak_dff",),
    ("peak_df", "v_max_height"),
    ("snr", "v_signal_to_noise_ratio"),
    ("confidence",),
)


def summarise_run(directory: Path) -> dict[str, Any]:
    """Return counts, rates and quality of a complete run.

    Parameters
    ----------
    directory
        A run directory.

    Returns
    -------
    dict
        ``frames``, ``rows``, ``columns``, ``frame_rate`` (Hz), ``pixel_size`` (um),
        ``minutes``, ``events``, ``events_per_minute``, ``excluded_frames``,
        ``largest_shift_px``, medians over events (``median_<column>``), ``warnings``
        (their number). Unknown values are NaN.
    """
    state = json.loads((directory / RUN_FILE).read_text(encoding="utf-8"))
    stages = state["stages"]
    facts = {name: entry.get("facts", {}) for name, entry in stages.items()}
    frames, rows, columns = state["input"]["shape"]
    configuration = state["configuration"]
    metadata = state["input"].get("metadata") or {}
    rate = configuration.get("frame_rate") or metadata.get("frame_rate") or np.nan
    size = configuration.get("pixel_size") or metadata.get("pixel_size") or np.nan
    minutes = frames / rate / 60
    events = _read_events(directory)
    motion = facts.get("motion", {})
    summary: dict[str, Any] = {
        "frames": frames,
        "rows": rows,
        "columns": columns,
        "frame_rate": rate,
        "pixel_size": float(np.mean(size)),
        "minutes": minutes,
        "events": len(events),
        "events_per_minute": len(events) / minutes,
        "excluded_frames": _count_excluded_frames(directory, motion),
        "largest_shift_px": motion.get("largest_shift_px", np.nan),
    }
    for names in MEDIANS:
        name = next((n for n in names if n in events), None)
        if name is not None:
            summary[f"median_{name}"] = events[name].median()
    summary["warnings"] = sum(len(e.get("warnings", [])) for e in stages.values())
    return summary


def _count_excluded_frames(directory: Path, motion: dict[str, Any]) -> float:
    """Return the number of frames left out, from the tables of bad frames."""
    tables = [read_table(path) for path in list_run_tables(directory)]
    if not tables:
        return float(motion.get("bad_frames", np.nan))
    table = pd.concat(tables)
    return float(table.loc[table["severity"] >= LEAVE_OUT, "frame"].nunique())


def _read_events(directory: Path) -> pd.DataFrame:
    wanted = ["z0", *(name for names in MEDIANS for name in names)]
    tables = [
        read_plain_columns(store, wanted).to_pandas()
        for store in list_stores(directory)
    ]
    return pd.concat(tables) if tables else pd.DataFrame()
