"""Draw what the calibrated detection finds beside the truth.

Two contact sheets: one panel for each kind of event, one for each disturbance. Of each
pixel, the last event in time is shown, the same event in the same colour on both sides;
red is what matches no true event. Whole-field events are drawn where they are alone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from astrocast.io import open_recording
from astrocast.settings.simulation import SimulationSettings
from astrocast.settings.simulation_presets import NUISANCES
from astrocast.simulation.cases import Case, detect_case, prepare_case
from astrocast.simulation.judging import f1_of, judge_events
from astrocast.simulation.scoring import score

#: a development seed
SEED, SNR = 3101, 2.0
KINDS = (
    "domains",
    "somata",
    "branches",
    "endfeet",
    "waves",
    "cell_waves",
    "whole_field",
    "several_peaks",
    "plateaus",
    "repeats",
    "long_tails",
    "touching",
    "growing",
    "travelling",
    "mixed",
)
SIZE = (144, 144)
#: places in the colour map: of what matches no true event, and of all others
RED, SHADES = 6, np.array([k for k in range(20) if k not in (6, 7)])


def draw_events(ax: Axes, image: np.ndarray, events: list[np.ndarray]) -> None:
    """Draw the last event of each pixel over the mean image."""
    pixels = SIZE[0] * SIZE[1]
    latest, colour = np.full(pixels, -1), np.full(pixels, np.nan)
    for shade, voxels in events:
        at, when = voxels % pixels, voxels // pixels
        newest = np.full(pixels, -1)
        np.maximum.at(newest, at, when)
        later = newest > latest
        latest[later], colour[later] = newest[later], shade
    low, high = np.percentile(image, (1, 99.7))
    ax.imshow(image, cmap="gray", vmin=low, vmax=high)
    ax.imshow(
        colour.reshape(SIZE),
        cmap="tab20",
        vmin=0,
        vmax=19,
        alpha=0.75,
        interpolation="nearest",
    )
    ax.set_axis_off()


def hide_wide(shades: Any, events: list[np.ndarray]) -> list[tuple[int, np.ndarray]]:
    """Return colours and events without whole-field ones, where there are others."""
    frame = SIZE[0] * SIZE[1]
    wide = [len(np.unique(v % frame)) > 0.6 * frame for v in events]
    return [
        (int(shade), voxels)
        for shade, voxels, hidden in zip(shades, events, wide, strict=True)
        if not hidden or all(wide)
    ]


def draw_case(axes: tuple[Axes, Axes], name: str, case: Case) -> None:
    """Draw truth and what is found of one recording; print its F1."""
    truth, table = case.truth()
    found, _ = detect_case(case)
    with open_recording(case.recording, "mc/ch0") as movie:
        image = movie.to_array().mean(axis=0)
    shades = SHADES[np.arange(len(truth)) * 5 % len(SHADES)]
    pairs = dict(score(truth, found, 0.5).pairs[:, ::-1].tolist())
    # what matches no true event is red
    of_found = [
        shades[pairs[k + 1] - 1] if k + 1 in pairs else RED for k in range(len(found))
    ]
    draw_events(axes[0], image, hide_wide(shades, truth))
    draw_events(axes[1], image, hide_wide(of_found, found))
    judged = judge_events(truth, found, table["kind"].to_list())
    f1 = f1_of([judged])["f1"]
    print(f"{name:<24}{len(truth):>4} true {len(found):>4} found  F1 {f1:.2f}")
    axes[0].set_title(f"{name}: {len(truth)} true", fontsize=8, loc="left")
    axes[1].set_title(f"{len(found)} found, F1 {f1:.2f}", fontsize=8, loc="left")


def draw_sheet(names: list[str], titles: list[str], path: Path, cache: Path) -> None:
    """Write a contact sheet of recordings, three in a row."""
    rows = -(-len(names) // 3)
    figure = Figure(figsize=(11, 2.0 * rows), layout="constrained")
    axes = figure.subplots(rows, 6, squeeze=False)
    for ax in axes.ravel():
        ax.set_axis_off()
    for k, (name, title) in enumerate(zip(names, titles, strict=True)):
        settings = SimulationSettings.preset(name, SNR, seed=SEED)
        row, column = divmod(k, 3)
        pair = axes[row, 2 * column], axes[row, 2 * column + 1]
        draw_case(pair, title, prepare_case(settings, cache))
    figure.savefig(path, dpi=90)


def main() -> None:
    """Write ``found_kinds.png`` and ``found_disturbances.png`` beside this file.

    A folder may be named in which simulated recordings are kept.
    """
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(sys.argv[1] if len(sys.argv) > 1 else folder)
        names = [n.replace("_", " ") for n in KINDS]
        draw_sheet(list(KINDS), names, here / "found_kinds.png", cache)
        others = [n for n in NUISANCES if n not in ("noise", "all")]
        draw_sheet(
            [*(f"mixed_{n}" for n in others), "nuisances"],
            [*(n.replace("_", " ") for n in others), "all together"],
            here / "found_disturbances.png",
            cache,
        )


if __name__ == "__main__":
    main()
