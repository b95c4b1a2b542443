"""Draw the picture of the denoising page: one frame and one time course, raw, denoised
in two ways, and true.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

mpl.use("Agg")
import matplotlib.pyplot as plt

from astrocast.denoising import Denoiser
from astrocast.simulation import SimulationSettings, Simulator

SETTINGS = SimulationSettings(
    seed=8, frames=200, rows=96, columns=96, events=14, photons=10.0, motion=0.0
)
BAR_PIXELS = 20


def main() -> None:
    simulator = Simulator(SETTINGS)
    movie, truth = (
        simulator.movie(0, SETTINGS.frames).astype(np.float32),
        simulator.expected(0, SETTINGS.frames),
    )
    by_patterns = Denoiser("svd", assess=False).run(movie)
    by_network = Denoiser(steps=300, kernel=16, assess=False).run(movie)
    change = truth - np.median(truth, 0)
    frame, row, column = np.unravel_index(int(np.argmax(change)), change.shape)
    pictures = (
        ("raw", movie[frame]),
        ("svd", by_patterns[frame]),
        ("network", by_network[frame]),
        ("truth", truth[frame]),
        ("raw - network", movie[frame] - by_network[frame]),
    )
    figure = plt.figure(figsize=(12, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 5, height_ratios=(1.1, 1))
    low, high = np.percentile(truth[frame], [0.5, 99.8])
    for i, (title, image) in enumerate(pictures):
        ax = figure.add_subplot(grid[0, i])
        residual = "-" in title
        shown = ax.imshow(
            image,
            cmap="RdBu_r" if residual else "gray",
            vmin=-15 if residual else low,
            vmax=15 if residual else high,
        )
        figure.colorbar(shown, ax=ax, label="counts", shrink=0.75, location="bottom")
        ax.plot(
            [6, 6 + BAR_PIXELS], [90, 90], color="black" if residual else "white", lw=3
        )
        ax.set_title(
            f"{title}  (bar {BAR_PIXELS * SETTINGS.pixel_size:g} µm)"
            if i == 0
            else title
        )
        ax.set_axis_off()
    ax = figure.add_subplot(grid[1, :])
    seconds = np.arange(SETTINGS.frames) / SETTINGS.frame_rate
    for label, data, colour, width in (
        ("raw", movie, "0.75", 0.8),
        ("svd", by_patterns, "#0072b2", 1.2),
        ("network", by_network, "#d55e00", 1.4),
        ("truth", truth, "black", 1.0),
    ):
        ax.plot(seconds, data[:, row, column], color=colour, lw=width, label=label)
    ax.set(
        xlabel="time (s)",
        ylabel="counts",
        title=f"one pixel, row {row}, column {column}",
        xlim=(0, seconds[-1]),
    )
    ax.legend(ncols=4, frameon=False)
    path = Path(__file__).with_name("denoising.png")
    figure.savefig(path, dpi=80)
    with Image.open(path) as drawn:  # noise does not compress: fewer colours do
        drawn.convert("P", palette=Image.Palette.ADAPTIVE, colors=192).save(
            path, optimize=True
        )


if __name__ == "__main__":
    main()
