"""Draw the picture of the simulation page: a recording and its truth."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from astrocast.simulation import SimulationSettings, simulate

SETTINGS = SimulationSettings(
    seed=3,
    frames=240,
    rows=192,
    columns=192,
    events=24,
    kinds=("static", "growing", "travelling", "touching"),
    snr=4.0,
)
BAR_PIXELS = 40


def main() -> None:
    made = simulate(SETTINGS)
    strongest = made.events.loc[made.events["amplitude"].idxmax()]
    figure, axes = plt.subplots(2, 3, figsize=(10.5, 7), layout="constrained")
    pictures = (
        ("baseline", made.f0, "gray", None),
        (
            f"frame {strongest['peak']} of the movie",
            made.movie[strongest["peak"]],
            "gray",
            None,
        ),
        ("true events (largest dF)", made.clean.max(0), "magma", None),
    )
    for ax, (title, image, colours, top) in zip(axes[0], pictures, strict=True):
        shown = ax.imshow(image, cmap=colours, vmax=top)
        figure.colorbar(shown, ax=ax, label="counts", shrink=0.8)
        ax.set_title(title)
        ax.plot([8, 8 + BAR_PIXELS], [184, 184], color="white", lw=3)
        length = BAR_PIXELS * SETTINGS.pixel_size
        ax.text(
            8 + BAR_PIXELS / 2,
            179,
            f"{length:g} µm",
            color="white",
            ha="center",
            va="bottom",
        )
        ax.set_axis_off()
    seconds = np.arange(SETTINGS.frames) / SETTINGS.frame_rate
    labels = made.labels.max(0).astype(float)
    labels[labels == 0] = np.nan
    axes[1, 0].imshow((labels * 7) % 20, cmap="tab20")
    axes[1, 0].set(
        title="true footprints", xlabel="column (pixels)", ylabel="row (pixels)"
    )
    for name, shift, style in zip(
        ("row", "column"), made.shifts.T, ("-", "--"), strict=True
    ):
        axes[1, 1].plot(seconds, shift, style, label=name)
    axes[1, 1].set(
        title="true shifts", xlabel="time (s)", ylabel="displacement (pixels)"
    )
    axes[1, 1].legend()
    middle = np.s_[
        :, (strongest.x0 + strongest.x1) // 2, (strongest.y0 + strongest.y1) // 2
    ]
    axes[1, 2].plot(
        seconds, made.movie[middle], color="0.6", lw=0.8, label="movie, one pixel"
    )
    truth = made.f0[middle[1:]] * made.bleaching + made.clean[middle] + SETTINGS.offset
    axes[1, 2].plot(
        seconds, truth, color="tab:orange", label="baseline + event, at rest"
    )
    axes[1, 2].set(
        title="the pixel of the strongest event", xlabel="time (s)", ylabel="counts"
    )
    axes[1, 2].legend(loc="lower center", bbox_to_anchor=(0.5, -0.42))
    figure.savefig(Path(__file__).with_name("simulation.png"), dpi=76)


if __name__ == "__main__":
    main()
