"""Draw docs/figures/detection.png: one simulated recording on its way to events."""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from astrocast.detection import Detector
from astrocast.io import open_recording
from astrocast.io.stores.event_map import open_event_map
from astrocast.io.stores.event_table import read_events
from astrocast.simulation import SimulationSettings, score, simulate

OUT = Path(__file__).with_name("detection.png")


def detect_with_steps(movie: np.ndarray) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Return the intermediate steps and the events of a detection, and its table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.npy"
        np.save(path, movie)
        directory = Detector(path).run(debug=True)
        steps = {}
        for name in ("smoothed", "spatial", "temporal"):
            with open_recording(directory / "debug" / f"{name}.tiff") as step:
                steps[name] = step.to_array()
        with open_event_map(directory) as labels:
            steps["events"] = labels.to_array()
        return steps, read_events(directory)


def draw_events(axis: Axes, events: np.ndarray, truth: np.ndarray) -> None:
    shown = np.ma.masked_equal(np.where(events > 0, events % 19 + 1, 0), 0)
    axis.imshow(shown, cmap="tab20", vmin=0, vmax=20, interpolation="nearest")
    axis.contour(truth > 0, [0.5], colors="black", linewidths=0.8)


def draw_pixel(
    axis: Axes, movie: np.ndarray, steps: dict[str, np.ndarray], row: int, column: int
) -> None:
    axis.plot(movie[:, row, column], color="0.75", lw=0.8, label="dF")
    axis.plot(
        steps["smoothed"][:, row, column], color="#0072B2", lw=1.2, label="smoothed"
    )
    axis.fill_between(
        np.arange(len(movie)),
        -25,
        110,
        where=steps["events"][:, row, column] > 0,
        color="#E69F00",
        alpha=0.4,
        lw=0,
        label="active",
    )
    axis.set(
        title=f"pixel ({row}, {column})",
        xlabel="frame",
        ylabel="dF (a.u.)",
        ylim=(-25, 110),
    )
    axis.legend(fontsize=7, loc="upper right")


def main() -> None:
    simulation = simulate(
        SimulationSettings(seed=11, frames=200, rows=96, columns=96, events=14, snr=4.0)
    )
    noisy = simulation.clean + np.random.default_rng(0).normal(
        0, simulation.clean.max() / 10, simulation.clean.shape
    )
    movie = (100 * noisy / simulation.clean.max()).astype(np.float32)
    steps, table = detect_with_steps(movie)
    found = score(simulation.labels, steps["events"], iou=0.25)
    t = int(np.bincount(np.nonzero(steps["events"])[0]).argmax())
    figure, axes = plt.subplots(2, 3, figsize=(9, 6), layout="constrained")
    images = [
        ("dF", movie[t], "gray", (-20, 80)),
        ("smoothed", steps["smoothed"][t], "gray", (-5, 50)),
        ("above triangle threshold", steps["spatial"][t], "cividis", (0, 1)),
        ("in a peak of the time course", steps["temporal"][t], "cividis", (0, 1)),
    ]
    for axis, (_, image, colours, (low, high)) in zip(axes.flat, images, strict=False):
        axis.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    draw_events(axes[1, 1], steps["events"][t], simulation.labels[t])
    titles = [title for title, *_ in images]
    titles.append(f"events (black: the truth; F1 {found.f1:.2f})")
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set(title=title, xlabel="column (px)", ylabel="row (px)")
    shown = np.unique(steps["events"][t][steps["events"][t] > 0])
    event = table.loc[shown].nlargest(1, "v_area").iloc[0]
    draw_pixel(axes[1, 2], movie, steps, int(event["v_fp_cx"]), int(event["v_fp_cy"]))
    figure.savefig(OUT, dpi=90)
    print(f"frame {t}: {len(table)} events, {found}")


if __name__ == "__main__":
    main()
