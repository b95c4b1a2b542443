"""Draw the pictures of the simulation page: a recording, events, disturbances."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from astrocast.settings.simulation_kinds import FORMULA_KINDS, TISSUE_KINDS
from astrocast.settings.simulation_presets import NUISANCES
from astrocast.simulation import SimulationSettings, Simulator, simulate

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
#: size of the small movies
SMALL = {"frames": 160, "rows": 112, "columns": 112}
STILL = {"motion": 0.0, "bleach_fraction": 0.0, "drift": 0.0, "snr": 4.0}


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


def draw_kinds() -> None:
    """Draw one small movie of each kind of event: largest dF, and its course."""
    kinds = (*FORMULA_KINDS, *TISSUE_KINDS)
    several = {"touching": 2, "repeats": 3}
    pictures = []
    for kind in kinds:
        counts = {kind: several.get(kind, 1)}
        plan = Simulator(SimulationSettings(seed=1, counts=counts, **SMALL, **STILL))
        clean = plan.clean(0, SMALL["frames"])
        place = np.unravel_index(clean.max(0).argmax(), clean.shape[1:])
        pictures.append((kind, clean.max(0), clean[:, place[0], place[1]]))
    draw_pairs(pictures, "largest dF", "dF (counts)", "simulation_kinds.png")


def draw_disturbances() -> None:
    """Draw recordings without events: sd of each pixel, mean of each frame."""
    pictures = []
    for name in NUISANCES:
        settings = SimulationSettings.preset(f"event_free_{name}", seed=1, **SMALL)
        movie = Simulator(settings).movie(0, SMALL["frames"]).astype(np.float32)
        pictures.append((name, movie.std(0), movie.mean((1, 2))))
    draw_pairs(
        pictures, "sd over time", "frame (counts)", "simulation_disturbances.png"
    )


def draw_pairs(pictures, what: str, label: str, name: str) -> None:
    """Draw each picture above its course, eight in a row."""
    figure, axes = plt.subplots(4, 8, figsize=(14, 7.4), layout="constrained")
    for k, (title, image, course) in enumerate(pictures):
        above, below = axes[2 * (k // 8), k % 8], axes[2 * (k // 8) + 1, k % 8]
        above.imshow(image, cmap="magma", vmax=np.percentile(image, 99.8))
        above.set_title(title, fontsize=10)
        above.set_axis_off()
        below.plot(course, lw=0.9, color="tab:orange")
        below.tick_params(labelsize=7)
        if k % 8 == 0:
            below.set_ylabel(label, fontsize=8)
        below.set_xlabel("frame", fontsize=8)
    figure.suptitle(f"above: {what}; below: {label}", fontsize=9)
    figure.savefig(Path(__file__).with_name(name), dpi=60)


if __name__ == "__main__":
    draw_kinds()
    draw_disturbances()
    main()
