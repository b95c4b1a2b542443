"""Draw docs/figures/measures.png: errors of amplitudes and times by SNR.

Recordings are simulated, run from file to event table, and each event that is found is
compared with the true one. ``python docs/figures/make_measures.py SEED...`` prints the
numbers of other seeds without drawing.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from astrocast.io.stores.event_table import read_events
from astrocast.pipeline.demo import align_truth, read_labels
from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.simulation import (
    SimulationSettings,
    Simulator,
    score,
    write_simulation,
)

OUT = Path(__file__).with_name("measures.png")
SNRS = (2.0, 3.0, 4.0, 6.0)
#: seeds that no parameter was chosen on
SEEDS = (7101,)
#: column of the event table -> true column, and factor from its unit to frames, pixels
TIMES = {
    "rise_s": "rise_time",
    "decay_s": "decay_time",
    "half_width_s": "half_width",
}
MOVING = ("travelling", "wave", "cell_wave")


def scenes(snr: float, seed: int) -> list[SimulationSettings]:
    """Events anywhere, and waves along branching processes; bleaching and motion."""
    common = {
        "snr": snr,
        "seed": seed,
        "frames": 400,
        "rows": 160,
        "columns": 160,
        "motion": 2.0,
        "bleach_fraction": 0.2,
    }
    return [
        SimulationSettings.checked(**common, events=36),
        SimulationSettings.checked(
            **common, counts={"domain": 8, "branch": 4, "wave": 8}
        ),
    ]


def errors(settings: SimulationSettings) -> pd.DataFrame:
    """Return a row per event that was found: relative errors, of onsets in frames."""
    simulator = Simulator(settings)
    with tempfile.TemporaryDirectory() as folder:
        movie = Path(folder) / "movie.h5"
        write_simulation(settings, movie)
        run = RunSettings.checked(
            conversion={"loc_in": "data/ch0", "offset": settings.offset}
        )
        result = run_recording(movie, Path(folder) / "run", run)
        found = read_events(result.store)
        pairs = score(align_truth(simulator, result), read_labels(result), 0.3).pairs
    truth = simulator.events.set_index("event")
    rows = [_compare(truth.loc[t], found.loc[f], settings) for t, f in pairs]
    return pd.DataFrame(rows)


def _compare(
    true: pd.Series, found: pd.Series, settings: SimulationSettings
) -> dict[str, object]:
    rate, size = settings.frame_rate, settings.pixel_size
    row: dict[str, object] = {
        "kind": true["kind"],
        "whole": not found[["touches_start", "touches_end", "touches_border"]].any(),
        "touching": bool(true["touches"]),
        "peak_df": found["peak_df"] / true["peak_df"] - 1,
        "peak_dff": found["peak_dff"] / true["peak_dff"] - 1,
        "onset": found["onset_s"] * rate - true["onset_time"],
        "area": np.nan,
        "speed": np.nan,
    }
    for name, real in TIMES.items():
        row[name.removesuffix("_s")] = found[name] * rate / true[real] - 1
    if true["area"] > 60:
        row["area"] = found["area_um2"] / size**2 / true["area"] - 1
    if true["kind"] in MOVING:
        row["speed"] = found["speed_um_s"] / size / rate / true["speed"] - 1
    numbers = ["peak_df", "peak_dff", "onset_s", *TIMES, "duration_s", "area_um2"]
    row["missing"] = bool(found[numbers].astype(float).isna().any())
    return row


def measure(seeds: tuple[int, ...], snrs: tuple[float, ...] = SNRS) -> pd.DataFrame:
    """Return the errors of all scenes of all seeds."""
    tables = [
        errors(scene).assign(snr=snr)
        for snr in snrs
        for seed in seeds
        for scene in scenes(snr, seed)
    ]
    return pd.concat(tables, ignore_index=True)


NAMES = {
    "peak_df": "peak dF (%)",
    "peak_dff": "peak dF/F (%)",
    "half_width": "half width (%)",
    "rise": "rise time (%)",
    "decay": "decay time (%)",
    "onset": "onset (frames)",
    "area": "area (%)",
    "speed": "speed (%)",
}


def report(table: pd.DataFrame) -> None:
    """Print medians and shares."""
    whole = table[table["whole"] & ~table["touching"]]
    print(whole.groupby("snr")[list(NAMES)].median().round(3).to_string())
    print(whole.groupby(["snr", "kind"])[list(NAMES)].median().round(3).to_string())
    print(whole.groupby("snr")["missing"].agg(["mean", "size"]).round(3).to_string())


def draw(table: pd.DataFrame) -> None:
    """Draw median and quartiles of each error by SNR."""
    whole = table[table["whole"] & ~table["touching"]]
    figure, axes = plt.subplots(2, 4, figsize=(11, 5), layout="constrained")
    for ax, (name, label) in zip(axes.flat, NAMES.items(), strict=True):
        factor = 1 if name == "onset" else 100
        quartiles = whole.groupby("snr")[name].quantile([0.25, 0.5, 0.75]).unstack()
        x = quartiles.index.to_numpy()
        ax.axhline(0, color="0.6", linewidth=0.8)
        low, middle, high = (factor * quartiles[q] for q in (0.25, 0.5, 0.75))
        ax.fill_between(x, low, high, color="#0072b2", alpha=0.2, linewidth=0)
        ax.plot(x, middle, color="#0072b2", marker="o", markersize=4)
        ax.set_title(label, fontsize=10)
        reach = max(float(np.nanmax(np.abs([low, high]))), 1.0 if factor == 1 else 20.0)
        ax.set_ylim(-1.05 * reach, 1.05 * reach)
        ax.set_xticks([2, 4, 6])
    figure.supxlabel("SNR of a pixel at the peak")
    figure.supylabel("error: median and quartiles of events")
    figure.savefig(OUT, dpi=110)


def main() -> None:
    if len(sys.argv) > 1:
        report(measure(tuple(map(int, sys.argv[1:])), (2.0,)))
        return
    table = measure(SEEDS)
    report(table)
    draw(table)


if __name__ == "__main__":
    main()
