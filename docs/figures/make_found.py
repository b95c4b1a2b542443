"""Draw the events of the default and of the calibrated detection beside the truth.

Two contact sheets: three panels for each kind of event, and for each disturbance. Of
each pixel, the last event in time is shown, the same event in the same colour in all
panels; events that match no true event are red. Whole-field events are drawn where they
are alone.
"""

from __future__ import annotations

import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from astrocast.detection import Detector
from astrocast.io import open_recording
from astrocast.io.stores.event_map import open_event_map
from astrocast.preparation import Delta
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


def find_by_default(case: Case) -> list[np.ndarray]:
    """Return the voxels of each event of the default method, on dF of the recording."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signal.npy"
        delta = Delta(case.recording, loc="mc/ch0")
        np.save(path, np.asarray(delta.run(window=60, method="dF")))
        with open_event_map(Detector(path).run()) as event_map:
            labels = event_map.to_array().ravel()
    at = np.flatnonzero(labels > 0)
    order = at[np.argsort(labels[at], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def find_all(settings: SimulationSettings, cache: Path) -> dict[str, Any]:
    """Return mean image, true events, and the events of both methods of a recording."""
    case = prepare_case(settings, cache)
    truth, _ = case.truth()
    with open_recording(case.recording, "mc/ch0") as movie:
        image = movie.to_array().mean(axis=0)
    found, _ = detect_case(case)
    return {
        "image": image,
        "truth": truth,
        "default": find_by_default(case),
        "calibrated": found,
    }


def draw_found(axes: Any, name: str, events: dict[str, Any]) -> None:
    """Draw truth, default and calibrated detection of a recording; print F1."""
    truth, image = events["truth"], events["image"]
    shades = SHADES[np.arange(len(truth)) * 5 % len(SHADES)]
    draw_events(axes[0], image, hide_wide(shades, truth))
    axes[0].set_title(f"{name}: {len(truth)} true", fontsize=8, loc="left")
    for ax, method in zip(axes[1:], ("default", "calibrated"), strict=True):
        found = events[method]
        pairs = dict(score(truth, found, 0.5).pairs[:, ::-1].tolist())
        colours = [
            shades[pairs[k + 1] - 1] if k + 1 in pairs else RED
            for k in range(len(found))
        ]
        draw_events(ax, image, hide_wide(colours, found))
        f1 = f1_of([judge_events(truth, found)])["f1"]
        print(f"{name:<20}{method:<12}{len(found):>4} found  F1 {f1:.2f}")
        ax.set_title(f"{method}: {len(found)}, F1 {f1:.2f}", fontsize=8, loc="left")


def draw_sheet(names: list[str], titles: list[str], path: Path, cache: Path) -> None:
    """Write a contact sheet of recordings, two in a row."""
    rows = -(-len(names) // 2)
    figure = Figure(figsize=(9.5, 1.75 * rows), layout="constrained")
    axes = figure.subplots(rows, 6, squeeze=False)
    for ax in axes.ravel():
        ax.set_axis_off()
    for k, (name, title) in enumerate(zip(names, titles, strict=True)):
        settings = SimulationSettings.preset(name, SNR, seed=SEED)
        row, column = divmod(k, 2)
        own = axes[row, 3 * column : 3 * column + 3]
        draw_found(own, title, find_all(settings, cache))
    drawn = BytesIO()
    figure.savefig(drawn, dpi=70)
    Image.open(drawn).convert("RGB").quantize(48).save(path, optimize=True)


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
