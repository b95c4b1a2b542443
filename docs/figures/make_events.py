"""Draw the pictures of the pages on events: what normalisation does, and what is read
off a time course and a mask.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt
from scipy.ndimage import find_objects

from astrocast.kernels.event_features.physiology import time_courses
from astrocast.kernels.event_features.propagation import fronts
from astrocast.kernels.masks.packed_masks import pack_masks
from astrocast.kernels.ragged import ragged
from astrocast.kernels.ragged.normalize import Step, apply_steps
from astrocast.simulation import SimulationSettings, simulate

FOLDER = Path(__file__).parent
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#e69f00", "#009e73", "0.6"
SETTINGS = SimulationSettings(
    seed=5,
    frames=600,
    rows=160,
    columns=160,
    events=60,
    motion=0.0,
    drift=0.0,
    kinds=("travelling",),
    snr=6.0,
)


def draw_course(left) -> None:
    """Draw what is read off a time course."""
    t = np.arange(60)
    trace = (
        np.where(t < 15, 0, (1 - np.exp(-(t - 15) / 3)) * np.exp(-(t - 15) / 14)) * 8
    )
    course = time_courses(*ragged.flatten([trace]))
    seconds = t / SETTINGS.frame_rate
    left.plot(seconds, trace, color="black", lw=1.5)
    marks = {"onset": course.onset, "peak": course.peak, "offset": course.offset}
    for (name, frame), colour in zip(marks.items(), (BLUE, ORANGE, GREEN), strict=True):
        left.axvline(frame[0] / SETTINGS.frame_rate, color=colour, lw=1.2, label=name)
    for level in (0.1, 0.5, 0.9):
        left.axhline(level * course.height[0], color=GREY, lw=0.7, ls=":")
        left.text(
            0,
            level * course.height[0],
            f"{level:.0%}",
            ha="left",
            va="bottom",
            fontsize=8,
            color="0.4",
        )
    text = [
        f"{n} {v[0] / SETTINGS.frame_rate:.2f} s"
        for n, v in (
            ("rise", course.rise),
            ("decay", course.decay),
            ("half width", course.half_width),
        )
    ]
    left.text(
        0.86,
        0.44,
        "\n".join(text),
        transform=left.transAxes,
        ha="right",
        va="top",
        fontsize=9,
    )
    left.set(title="what is read off a time course", xlabel="time (s)", ylabel="dF")
    left.legend(fontsize=8, loc="upper right")


def draw_physiology(made, masks) -> None:
    onset, _ = fronts(pack_masks(masks))
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(12, 3.6), layout="constrained", width_ratios=(1.5, 1, 1)
    )
    draw_course(left)
    truth, found = made.events["speed"].to_numpy(), onset.speed
    good = onset.r2 > 0.5
    middle.scatter(truth[good], found[good], s=16, color=BLUE, label="r² above 0.5")
    middle.scatter(
        truth[~good], found[~good], s=16, color=ORANGE, marker="x", label="below"
    )
    top = float(np.nanmax(truth)) * 1.6
    middle.plot([0, top], [0, top], color=GREY, lw=0.8)
    middle.set(
        title="speed of travelling events",
        xlabel="true (px/frame)",
        ylabel="onset front (px/frame)",
    )
    middle.set(xlim=(0, top), ylim=(0, top))
    middle.legend(fontsize=8)
    error = (onset.direction - made.events["direction"].to_numpy() + 180) % 360 - 180
    right.hist(
        [error[good], error[~good]],
        bins=np.arange(-180, 181, 10),
        color=[BLUE, ORANGE],
        stacked=True,
    )
    right.set(title="direction, found less true", xlabel="degrees", ylabel="events")
    figure.savefig(FOLDER / "physiology.png", dpi=90)
    print(
        "speed ratio",
        np.nanmedian(found[good] / truth[good]),
        "direction error",
        np.nanmedian(np.abs(error[good])),
        good.mean(),
    )


def draw_events(made, masks, boxes) -> None:
    traces = [
        np.array(
            [
                made.movie[box][t][mask[t]].mean() if mask[t].any() else np.nan
                for t in range(len(mask))
            ],
            np.float32,
        )
        for mask, box in zip(masks, boxes, strict=True)
    ][:12]
    values, offsets = ragged.flatten(traces)
    steps = {
        "as measured": [],
        "min_max": [Step("min_max")],
        "mean_std": [Step("mean_std")],
        "subtract median,\ndivide by population max": [
            Step("subtract", mode="median"),
            Step("divide", mode="max", population_wide=True),
        ],
    }
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
    for ax, (name, chosen) in zip(axes, steps.items(), strict=True):
        found, _ = apply_steps(values, offsets, chosen)
        for i, trace in enumerate(ragged.split(found, offsets)):
            ax.plot(
                np.arange(len(trace)) / SETTINGS.frame_rate,
                trace,
                lw=0.9,
                color=plt.cm.viridis(i / 12),
            )
        ax.set(
            title=name,
            xlabel="time since onset (s)",
            ylabel="counts" if not chosen else "normalised",
        )
    figure.savefig(FOLDER / "events.png", dpi=90)


def main() -> None:
    made = simulate(SETTINGS)
    boxes = find_objects(made.labels)
    masks = [made.labels[box] == n for n, box in enumerate(boxes, start=1)]
    draw_physiology(made, masks)
    draw_events(made, masks, boxes)


if __name__ == "__main__":
    main()
