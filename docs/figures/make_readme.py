"""Draw docs/figures/readme.png: a simulated recording, its events, one trace."""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from skimage.measure import find_contours

from astrocast import plotting
from astrocast.analysis import Events
from astrocast.io import open_recording
from astrocast.kernels.frames.projections import project
from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.simulation import SimulationSettings, write_simulation

OUT = Path(__file__).with_name("readme.png")
RATE = 10.0


def main() -> None:
    """Simulate, run, draw."""
    with tempfile.TemporaryDirectory() as folder:
        movie, run = Path(folder, "movie.h5"), Path(folder, "movie.astrocast")
        settings = SimulationSettings.preset("mixed", snr=4.0, seed=11)
        write_simulation(settings, movie)
        chosen = RunSettings.checked(frame_rate=RATE, pixel_size=0.5)
        result = run_recording(movie, run, chosen)
        events = Events(result.store)
        table = events.events
        with open_recording(run / "recording.h5", "mc/ch0") as registered:
            still = project(registered.read(0, len(registered)))
        draw(table, still.mean, settings.frames)


def outline(row) -> np.ndarray:
    """Return the longest outline of a footprint, (points, 2) as (row, column)."""
    padded = np.pad(np.asarray(row["footprint"], float), 1)
    longest = max(find_contours(padded, 0.5), key=len)
    return longest - 1 + [row["x0"], row["y0"]]


def draw(table, mean, frames: int) -> None:
    """Draw outlines over the mean frame, a raster, and the trace of one event."""
    figure = plt.figure(figsize=(11, 4.1), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[1, 1.45])
    tissue = figure.add_subplot(grid[:, 0])
    local = table[table["kind"] != "global"] if "kind" in table else table
    outlines = {int(name): outline(row) for name, row in local.iterrows()}
    onsets = {int(name): float(row["z0"]) for name, row in local.iterrows()}
    plotting.footprints(
        mean,
        tissue,
        outlines=outlines,
        onsets=onsets,
        frames=frames,
        frame_rate=RATE,
        pixel_size=0.5,
    )
    plotting.raster(
        table, figure.add_subplot(grid[0, 1]), frames=frames, frame_rate=RATE
    )
    below = figure.add_subplot(grid[1, 1])
    best = table.loc[table["snr"].idxmax()]
    trace = np.asarray(best["footprint_trace"], float)
    first = int(best["footprint_trace_z0"])
    time = (first + np.arange(len(trace))) / RATE
    below.plot(time, trace, color="#0072B2", lw=1.2)
    below.axvspan(best["z0"] / RATE, best["z1"] / RATE, color="#D55E00", alpha=0.18)
    below.set(xlabel="time (s)", ylabel="dF of one event (counts)")
    below.spines[["top", "right"]].set_visible(False)
    figure.savefig(OUT, dpi=130)


if __name__ == "__main__":
    main()
