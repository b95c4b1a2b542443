"""Draw docs/figures/knobs/*.png: what each parameter of the detection does.

Each figure shows one simulated recording, detected with three values of one parameter:
outlines over the standard deviation of the movie, and when each event lasts; dots are
the peaks of its parts.
``python docs/figures/make_knobs.py [NAME ...]`` draws all, or those that are named.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
from skimage.measure import find_contours

from astrocast.detection import Detector
from astrocast.io.stores.event_table import read_events
from astrocast.preparation import Delta
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.simulation import SimulationSettings, simulate

FOLDER = Path(__file__).with_name("knobs")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442")
#: nothing moves and nothing bleaches: only the parameter differs between the panels
STILL: dict[str, Any] = {
    "frames": 120,
    "rows": 72,
    "columns": 72,
    "motion": 0.0,
    "drift": 0.0,
    "bleach_fraction": 0.0,
    "offset": 100.0,
}
ROUND = {"kinds": ("static",), "events": 9}


@dataclass(frozen=True)
class Blob:
    """A round event: centre and radius in pixels, onset in frames, peak in dF/F."""

    row: float
    column: float
    onset: float
    height: float = 0.6
    radius: float = 5.0
    decay: float = 8.0

    def signal(self, frames: int = 120, size: int = 72) -> np.ndarray:
        """Return dF/F (frame, row, column): a fast rise and an exponential decay."""
        t = np.maximum(np.arange(frames) - self.onset, 0)
        course = (1 - np.exp(-t / 2)) * np.exp(-t / self.decay)
        rows, columns = np.mgrid[:size, :size]
        distance = np.hypot(rows - self.row, columns - self.column)
        shape = np.exp(-np.log(4) * (distance / self.radius) ** 3)
        return self.height * course[:, None, None] / course.max() * shape


@dataclass(frozen=True)
class Drawn:
    """A scene of events that are placed by hand, with a brightness in photons."""

    blobs: tuple[Blob, ...]
    photons: float = 100.0

    def movie(self) -> np.ndarray:
        """Return counts (frame, row, column)."""
        signal = sum(blob.signal() for blob in self.blobs)
        rows, columns = np.mgrid[:72, :72]
        tissue = 1 + 0.15 * np.sin(rows / 7 + np.sin(columns / 11)) * np.cos(
            columns / 9
        )
        rng = np.random.default_rng(4)
        return rng.poisson(self.photons * tissue * (1 + signal)).astype(np.float32)


@dataclass(frozen=True)
class Simulated:
    """A scene of the simulator."""

    values: dict[str, Any]

    def movie(self) -> np.ndarray:
        """Return counts (frame, row, column)."""
        return simulate(SimulationSettings.checked(**STILL | self.values)).movie


def pairs(later: float, photons: float, height: float = 0.6) -> Drawn:
    """Return five pairs, 6.5 to 10 pixels apart, the second of each pair ``later``."""
    blobs = []
    places = zip((8, 22, 36, 50, 64), (6.5, 7.2, 7.9, 8.8, 10), strict=True)
    for row, distance in places:
        blobs += [
            Blob(row, 36 - distance / 2, 40, height, decay=14),
            Blob(row, 36 + distance / 2, 40 + later, height, decay=14),
        ]
    return Drawn(tuple(blobs), photons)


def repeats(gaps: tuple[float, ...]) -> Drawn:
    """Return events that happen twice in one place, after each of ``gaps`` frames."""
    blobs = []
    for k, gap in enumerate(gaps):
        place = (20 + 32 * (k // 2), 20 + 32 * (k % 2))
        blobs += [Blob(*place, 25), Blob(*place, 25 + gap)]
    return Drawn(tuple(blobs), 100.0)


@dataclass(frozen=True)
class Knob:
    """One parameter, the values to show, and a scene in which they differ."""

    values: tuple[Any, ...]
    scene: Drawn | Simulated


FAINT = Drawn(
    tuple(
        Blob(18 + 36 * (k // 2), 18 + 36 * (k % 2), 20 + 20 * k, height, 6)
        for k, height in enumerate((0.02, 0.04, 0.08, 0.3))
    ),
    4000.0,
)
TAIL = Drawn(
    (
        *(Blob(24, 22, onset, h, 7, 25) for onset, h in ((20, 1.0), (55, 0.22))),
        *(Blob(48, 50, onset, h, 7, 25) for onset, h in ((30, 1.0), (78, 0.3))),
    ),
    200.0,
)
KNOBS = {
    "smooth_sigma": Knob((0.8, 1.5, 3.0), Simulated(ROUND | {"seed": 2, "snr": 0.8})),
    "false_events": Knob(
        (0.0001, 0.1, 50.0), Simulated(ROUND | {"seed": 6, "snr": 0.6})
    ),
    "candidate": Knob((1.0, 2.5, 5.0), Simulated(ROUND | {"seed": 8, "snr": 0.8})),
    "prominence": Knob((0.0, 2.0, 12.0), pairs(10, 12.0)),
    "dip": Knob((0.0, 0.04, 0.8), pairs(14, 300.0)),
    "dip_in_time": Knob((0.02, 0.2, 0.7), repeats((12, 16, 20, 26))),
    "border_doubt": Knob((0.0, 0.4, 5.0), pairs(25, 20.0)),
    "pass_doubt": Knob((0.0, 4.5, 30.0), pairs(7, 15.0)),
    "extent": Knob((0.15, 0.3, 0.6), Simulated(ROUND | {"seed": 2, "snr": 4.0})),
    "overlap": Knob(
        (True, False),
        Drawn(
            (
                *(Blob(22, 26, 30), Blob(22, 35, 36)),
                *(Blob(50, 40, 60, 0.6, 8), Blob(50, 50, 72, 0.5, 8)),
            ),
            150.0,
        ),
    ),
    "foot": Knob((0.0, 0.12, 0.6), TAIL),
    "background_error": Knob((0.0, 0.002, 0.02), FAINT),
    "stretch": Knob(
        (48, 512),
        Simulated(
            {
                "counts": {"plateau": 4, "static": 4},
                "seed": 9,
                "snr": 3.0,
                "frames": 200,
            }
        ),
    ),
    "min_size": Knob(
        (1, 8, 400),
        Simulated({"counts": {"domain": 8, "static": 4}, "seed": 2, "snr": 3.0}),
    ),
}


def main() -> None:
    """Draw the figures that are named, or all."""
    FOLDER.mkdir(exist_ok=True)
    names = sys.argv[1:] or [*KNOBS, "window"]
    for name in names:
        if name == "window":
            draw_window()
        else:
            draw_knob(name, KNOBS[name])


def draw_knob(name: str, knob: Knob) -> None:
    """Draw one parameter at each of its values."""
    movie = knob.scene.movie()
    tables = [detect(movie, name, value) for value in knob.values]
    default = CalibratedSettings.model_fields[name].default
    figure = Figure(figsize=(2.9 * len(tables) + 0.3, 4.2), layout="constrained")
    axes = figure.subplots(
        2, len(tables), squeeze=False, gridspec_kw={"height_ratios": [2, 1]}
    )
    for k, (value, (table, parts)) in enumerate(zip(knob.values, tables, strict=True)):
        draw_places(axes[0, k], movie.std(axis=0), table, parts)
        draw_times(axes[1, k], len(movie), table, parts)
        mark = " (default)" if value == default else ""
        numbers = f"{len(table)} events, {len(parts)} parts"
        axes[0, k].set_title(f"{name} {value}{mark}\n{numbers}", fontsize=9)
    axes[1, 0].set_ylabel("event", fontsize=8)
    save(figure, name)
    print(name, [(len(table), len(parts)) for table, parts in tables], flush=True)


def detect(
    movie: np.ndarray, name: str, value: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return events and their parts as they are found with one parameter changed."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a crop of few frames is warned of
        path = Path(folder) / "movie.npy"
        np.save(path, movie)
        store = Detector(path).run(
            method="calibrated", calibration=CalibratedSettings(**{name: value})
        )
        return read_events(store), pd.read_parquet(store / "parts.parquet")


def draw_places(
    ax: Any, image: np.ndarray, table: pd.DataFrame, parts: pd.DataFrame
) -> None:
    """Draw the outline of each footprint, and a dot at the peak of each part."""
    ax.imshow(image, cmap="gray")
    for k, (_, event) in enumerate(table.iterrows()):
        for line in find_contours(
            np.pad(np.asarray(event["footprint"], float), 1), 0.5
        ):
            rows, columns = (line - 1 + [event["x0"], event["y0"]]).T
            ax.plot(columns, rows, color=COLOURS[k % len(COLOURS)], linewidth=1.4)
    ax.plot(parts["y"], parts["x"], ".", color="white", markersize=4)
    ax.set(xticks=[], yticks=[], xlim=(-0.5, 71.5), ylim=(71.5, -0.5))


def draw_times(ax: Any, frames: int, table: pd.DataFrame, parts: pd.DataFrame) -> None:
    """Draw a bar from the first to the last frame of each event, a dot at each peak."""
    for k, (number, event) in enumerate(table.iterrows()):
        peaks = parts["z"][parts["event"] == number]
        ax.plot(peaks, np.full(len(peaks), k + 0.4), ".", color="white", markersize=4)
        span = (event["z0"], event["z1"] - event["z0"])
        ax.broken_barh([span], (k, 0.8), color=COLOURS[k % len(COLOURS)])
    ax.set(xlim=(0, frames), ylim=(max(len(table), 1), -0.2), yticks=[])
    ax.set_xlabel("frame", fontsize=8)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def draw_window() -> None:
    """Draw the baseline of one place for three widths of the window of `Delta`."""
    scene = {"counts": {"plateau": 3}, "seed": 9, "snr": 6.0, "frames": 300}
    bleaching = {"bleach_fraction": 0.25, "bleach_time": 150.0}
    made = simulate(SimulationSettings.checked(**STILL | scene | bleaching))
    pixels = made.labels == made.events["event"].iloc[0]
    rows, columns = np.nonzero(pixels.any(axis=0))
    trace = made.movie[:, rows, columns].mean(axis=1)
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for ax, window in zip(axes, (10, 40, 120), strict=True):
        baseline = Delta(made.movie.astype(np.float32)).run(
            window=window, method="background", baseline="corrected_minimum"
        )
        below = np.asarray(baseline)[:, rows, columns].mean(axis=1)
        ax.plot(trace, color="0.4", linewidth=1, label="signal of one place")
        ax.plot(below, color="#d55e00", linewidth=1.6, label="baseline")
        ax.set_title(f"delta.window {window}", fontsize=9)
        ax.set_xlabel("frame", fontsize=8)
        ax.tick_params(labelsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("counts", fontsize=8)
    axes[0].legend(frameon=False, fontsize=8)
    save(figure, "window")


def save(figure: Figure, name: str) -> None:
    """Save a small picture."""
    path = FOLDER / f"{name}.png"
    figure.savefig(path, dpi=88)
    image = Image.open(path).convert("RGB")
    image.quantize(96, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


if __name__ == "__main__":
    main()
