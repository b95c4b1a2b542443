"""Three pictures of one simulated recording: what the defaults find, what the
calibrated detection finds, the truth.

A second figure shows how often noise reaches a confidence.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from astrocast.detection import Detector
from astrocast.detection.calibrated.segment import calibrated_labels
from astrocast.io import open_recording
from astrocast.io.stores.event_map import open_event_map
from astrocast.preparation import Delta
from astrocast.simulation import SimulationSettings, score, simulate
from astrocast.simulation.comparison import highest_confidences


def main() -> None:
    """Write ``calibrated.png`` beside this file."""
    made = simulate(
        SimulationSettings(
            seed=42,
            frames=300,
            snr=2.0,
            events=22,
            kinds=("touching", "travelling", "growing"),
            motion=0.3,
            motion_step=0.1,
        )
    )
    with ThreadPoolExecutor() as pool:
        calibrated, _ = calibrated_labels(open_recording(made.movie), pool=pool)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signal.npy"
        delta = Delta(made.movie)
        np.save(path, np.asarray(delta.run(window=60, method="dF")))
        with open_event_map(Detector(path).run()) as event_map:
            default = event_map.to_array()
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    panels = (
        ("defaults on dF", default),
        ("calibrated, raw movie", calibrated),
        ("truth", made.labels),
    )
    colours = np.random.default_rng(3).permutation(1000)
    for ax, (title, labels) in zip(figure.subplots(1, 3), panels, strict=True):
        # the last event of each pixel in time, each in a colour of its own
        frames = np.where(labels > 0, np.arange(len(labels))[:, None, None], -1).max(
            axis=0
        )
        last = np.take_along_axis(labels, np.maximum(frames, 0)[None], axis=0)[0]
        shade = np.where(frames >= 0, colours[last % 1000] % 20 + 1.0, np.nan)
        ax.imshow(made.f0, cmap="gray")
        ax.imshow(shade, cmap="tab20", alpha=0.75, interpolation="nearest")
        found = score(made.labels, labels)
        note = f"{labels.max()} events" + (
            "" if title == "truth" else f", F1 {found.f1:.2f} at IoU 0.5"
        )
        ax.set(title=f"{title}\n{note}", xlabel="column (px)", ylabel="row (px)")
    figure.savefig(Path(__file__).with_name("calibrated.png"), dpi=90)


def confidence() -> None:
    """Write ``calibrated_confidence.png`` beside this file."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 1], [1, 0], color="0.6", linewidth=3, label="right")
    for photons, seeds, colour in (
        (4, 60, "#0072b2"),
        (20, 60, "#d55e00"),
        (100, 40, "#009e73"),
    ):
        found = np.sort(highest_confidences(range(9000, 9000 + seeds), float(photons)))
        share = 1 - np.arange(seeds) / seeds
        ax.step(
            np.append(found, 1),
            np.append(share, 0),
            where="pre",
            color=colour,
            label=f"{photons} photons",
        )
    ax.set(
        xlabel="confidence c",
        ylabel="share of empty recordings\nwhose highest maximum reaches c",
    )
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.legend(frameon=False)
    figure.savefig(Path(__file__).with_name("calibrated_confidence.png"), dpi=90)


if __name__ == "__main__":
    main()
    confidence()
