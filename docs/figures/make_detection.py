"""Draw docs/figures/detection.png: one simulated recording on its way to events."""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from astrocast.detection import Detector
from astrocast.io import open_recording
from astrocast.io.stores.event_map import open_event_map
from astrocast.io.stores.event_table import read_events
from astrocast.simulation import SimulationSettings, score, simulate

OUT = Path(__file__).with_name("detection.png")


def main() -> None:
    simulation = simulate(
        SimulationSettings(seed=11, frames=200, rows=96, columns=96, events=14, snr=4.0)
    )
    noisy = simulation.clean + np.random.default_rng(0).normal(
        0, simulation.clean.max() / 10, simulation.clean.shape
    )
    movie = (100 * noisy / simulation.clean.max()).astype(np.float32)
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
        table = read_events(directory)
    found = score(simulation.labels, steps["events"], iou=0.25)
    t = int(np.bincount(np.nonzero(steps["events"])[0]).argmax())
    figure, axes = plt.subplots(2, 3, figsize=(9, 6), layout="constrained")
    panels = [
        ("dF", movie[t], "gray", (-20, 80)),
        ("smoothed", steps["smoothed"][t], "gray", (-5, 50)),
        ("above triangle threshold", steps["spatial"][t], "cividis", (0, 1)),
        ("in a peak of the time course", steps["temporal"][t], "cividis", (0, 1)),
        (
            f"events (black: the truth; F1 {found.f1:.2f})",
            steps["events"][t],
            None,
            None,
        ),
    ]
    for axis, (title, image, colours, limits) in zip(axes.flat, panels, strict=False):
        if colours is None:
            shown = np.ma.masked_equal(np.where(image > 0, image % 19 + 1, 0), 0)
            axis.imshow(shown, cmap="tab20", vmin=0, vmax=20, interpolation="nearest")
            axis.contour(
                simulation.labels[t] > 0, [0.5], colors="black", linewidths=0.8
            )
        else:
            axis.imshow(
                image,
                cmap=colours,
                vmin=limits[0],
                vmax=limits[1],
                interpolation="nearest",
            )
        axis.set(title=title, xlabel="column (px)", ylabel="row (px)")
    axis = axes[1, 2]
    event = (
        table.loc[np.unique(steps["events"][t][steps["events"][t] > 0])]
        .nlargest(1, "v_area")
        .iloc[0]
    )
    row, column = int(event["v_fp_cx"]), int(event["v_fp_cy"])
    axis.plot(movie[:, row, column], color="0.75", lw=0.8, label="dF")
    axis.plot(
        steps["smoothed"][:, row, column], color="#0072B2", lw=1.2, label="smoothed"
    )
    active = steps["events"][:, row, column] > 0
    axis.fill_between(
        np.arange(len(movie)),
        -25,
        110,
        where=active,
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
    figure.savefig(OUT, dpi=90)
    print(f"frame {t}: {len(table)} events, {found}")


if __name__ == "__main__":
    main()
