"""Draw the picture of the baseline page: backgrounds of a simulated recording and their
bias.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from astrocast.preparation import Delta
from astrocast.simulation import SimulationSettings, simulate

SETTINGS = SimulationSettings(
    seed=11,
    frames=600,
    rows=96,
    columns=96,
    events=30,
    motion=0.0,
    drift=0.0,
    bleach_fraction=0.3,
    bleach_time=250.0,
    bleach_fast_fraction=0.1,
    bleach_fast_time=25.0,
    snr=6.0,
)
WINDOW = 60
BASELINES = {
    "minimum": "#0072b2",
    "percentile": "#e69f00",
    "corrected_minimum": "#009e73",
    "double_exponential": "#cc79a7",
}


def label_axes(left, middle, right) -> None:
    left.set(
        title=f"one pixel with an event, window {WINDOW}",
        xlabel="time (s)",
        ylabel="counts",
    )
    left.legend(fontsize=8, ncols=2)
    names = [n.replace("_", "\n") for n in BASELINES]
    middle.axhline(0, color="black", lw=0.8)
    middle.set(
        title="error where nothing happens",
        ylabel="background - truth (noise sd)",
        ylim=(-5, 3.6),
    )
    middle.set_xticks(range(len(names)), names, fontsize=7)
    right.axvline(1, color="black", lw=0.8)
    right.set(
        title="what is left of events",
        xlabel="slope of dF against true dF",
        xlim=(0, 1.25),
        ylim=(-0.5, 3.6),
    )
    right.set_yticks(range(len(names)), names, fontsize=7)


def main() -> None:
    made = simulate(SETTINGS)
    truth = made.f0 * made.bleaching[:, None, None] + SETTINGS.offset
    noise = np.sqrt(np.mean((made.movie - truth - made.clean)[:, ::4, ::4] ** 2))
    event = made.events.loc[
        (made.events["amplitude"] - made.events["amplitude"].median()).abs().idxmin()
    ]
    pixel = np.s_[:, int(event["row"]), int(event["column"])]
    seconds = np.arange(SETTINGS.frames) / SETTINGS.frame_rate
    quiet = made.clean < 0.01 * noise
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(12, 3.8), layout="constrained", width_ratios=(2.2, 1.2, 1)
    )
    left.plot(seconds, made.movie[pixel], color="0.75", lw=0.6, label="movie")
    left.plot(seconds, truth[pixel], color="black", lw=1.5, label="true background")
    for position, (name, colour) in enumerate(BASELINES.items()):
        background = Delta(made.movie).run(WINDOW, "background", baseline=name)
        left.plot(
            seconds,
            background[pixel],
            color=colour,
            lw=1.2,
            label=name.replace("_", " "),
        )
        bias = ((background - truth) / noise)[quiet][::97]
        parts = middle.violinplot(
            bias, [position], showmedians=True, showextrema=False, widths=0.8
        )
        for body in parts["bodies"]:
            body.set_facecolor(colour)
        middle.text(position, 3.1, f"{np.median(bias):+.2f}", ha="center", fontsize=9)
        signal = Delta(made.movie).run(WINDOW, "dF", baseline=name)
        inside = made.clean > 2 * noise
        kept = np.polyfit(made.clean[inside], signal[inside], 1)
        right.scatter(kept[0], position, color=colour, s=60)
        right.text(kept[0], position + 0.16, f"{kept[0]:.2f}", ha="center", fontsize=9)
        print(
            name, "bias/noise", round(float(np.median(bias)), 2), "slope", kept.round(2)
        )
    label_axes(left, middle, right)
    figure.savefig(Path(__file__).with_name("baseline.png"), dpi=80)


if __name__ == "__main__":
    main()
