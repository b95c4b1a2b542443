"""Figure of docs/algorithms/motion.md: a simulated recording before and after motion
correction.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from astrocast.preparation import MotionCorrection
from astrocast.simulation import SimulationSettings, Simulator

FRAMES = 200


def draw_means(axes, movie, fixed, mc, pixel_size: float) -> None:
    low, high = np.percentile(movie.mean(0), (1, 99.8))
    for axis, image, name, sharp in (
        (axes[0], movie.mean(0), "before", mc.crispness[0]),
        (axes[1], fixed.mean(0), "after, piecewise-rigid", mc.crispness[1]),
    ):
        axis.imshow(image, cmap="gray", vmin=low, vmax=high)
        axis.set_title(f"mean image {name}: crispness {sharp:.2f}", fontsize=9)
        axis.plot([150, 182], [182, 182], color="white", lw=3)
        axis.text(
            166,
            178,
            f"{32 * pixel_size:g} µm",
            color="white",
            ha="center",
            va="bottom",
            fontsize=8,
        )
        axis.set_xticks([])
        axis.set_yticks([])


def main() -> None:
    plan = Simulator(
        SimulationSettings(
            frames=FRAMES,
            rows=192,
            columns=192,
            photons=20.0,
            motion=5.0,
            motion_step=0.6,
            jumps=2,
            deformation=2.0,
            deformation_scale=96.0,
            deformation_time=20.0,
            events=0,
            seed=5,
        )
    )
    movie = plan.movie(0, FRAMES)
    movie[120] = 0  # a dropped frame
    mc = MotionCorrection()
    mc.run(movie, pw_rigid=True, max_shifts=(15, 15))
    fixed = mc.save()
    figure, axes = plt.subplots(2, 2, figsize=(8, 7), layout="constrained")
    draw_means(axes[0], movie, fixed, mc, plan.settings.pixel_size)
    offset = np.median(mc.shifts - plan.motion.shifts, axis=0)
    for k, (name, colour) in enumerate((("rows", "#0072B2"), ("columns", "#D55E00"))):
        axes[1, 0].plot(plan.motion.shifts[:, k] + offset[k], color="0.75", lw=3)
        axes[1, 0].plot(mc.shifts[:, k], color=colour, lw=1, label=name)
    axes[1, 0].plot([], [], color="0.75", lw=3, label="truth")
    axes[1, 0].set(xlabel="frame", ylabel="rigid shift (pixel)")
    axes[1, 0].legend(fontsize=8)
    axes[1, 1].plot(mc.quality["correlation_before"], color="0.6", lw=1, label="before")
    axes[1, 1].plot(
        mc.quality["correlation_after"], color="#009E73", lw=1, label="after"
    )
    bad = np.flatnonzero(mc.bad_frames)
    axes[1, 1].plot(
        bad,
        mc.quality["correlation_after"][bad],
        "x",
        color="#D55E00",
        label="not trusted",
    )
    axes[1, 1].set(xlabel="frame", ylabel="correlation with the template")
    axes[1, 1].legend(fontsize=8)
    figure.savefig(Path(__file__).with_name("motion.png"), dpi=76)


if __name__ == "__main__":
    main()
