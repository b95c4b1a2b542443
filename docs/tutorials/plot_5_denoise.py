"""
Denoise a recording with nothing but the recording itself
=========================================================

You will simulate a recording of few photons, denoise it in two ways, and look at raw, denoised, truth and residual. It
takes about half a minute.
"""


# %%
# A recording of few photons
# --------------------------
#
# Ten photons per pixel: events are hard to see in a single frame. The truth is known because it is simulated.

import matplotlib.pyplot as plt
import numpy as np

from astrocast.simulation import SimulationSettings, Simulator

settings = SimulationSettings(
    seed=8, frames=120, rows=96, columns=96, events=10, photons=10.0, motion=0.0
)
simulator = Simulator(settings)
movie = simulator.movie(0, settings.frames)
truth = simulator.expected(0, settings.frames)

# %%
# Without training
# ----------------
#
# ``svd`` keeps the patterns of small patches that noise cannot have made. It takes a second and needs no extra package.

from astrocast.denoising import Denoiser

patterns = Denoiser("svd")
by_patterns = patterns.run(movie)

# %%
# By a network trained on this recording
# --------------------------------------
#
# The network learns to predict each frame from its neighbours. Noise cannot be predicted, so what it predicts is
# signal. For a recording of your own say how long it may train, ``Denoiser(minutes=5)``. A number of steps instead of a
# time, and smaller patches because the frames are small, make this page quick and the same wherever it runs.

network = Denoiser(steps=200, patch_size=32)
by_network = network.run(movie)
print(f"{network.training.steps} training steps; evaluated by {network.engine_used}")

# %%
# Is it any good?
# ---------------
#
# On your own recording there is no truth. ``quality`` therefore measures what can be measured without it: the error on
# frames that were held out (1 is perfect, more than the Gaussian means: do not use it), how much of an event's
# amplitude is kept, whether the mean moved, and whether the residual still holds structure.

for name, denoiser in (("svd", patterns), ("network", network)):
    print(name, denoiser.quality)

# %%
# Here the truth is known, so the error can be had in decibels, too.

for name, result in (("raw", movie), ("svd", by_patterns), ("network", by_network)):
    error = np.mean(np.square(result - truth))
    print(f"{name:8} {10 * np.log10(np.ptp(truth) ** 2 / error):5.1f} dB")

# %%
# Look at it
# ----------
#
# A residual (raw minus denoised) in which you can see an event is an event that was lost.

frame = int(np.argmax((truth - np.median(truth, 0)).max((1, 2))))
pictures = {
    "raw": movie[frame],
    "denoised (network)": by_network[frame],
    "truth": truth[frame],
    "residual": movie[frame] - by_network[frame],
}
low, high = np.percentile(truth[frame], [0.5, 99.8])
figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
for ax, (title, image) in zip(axes, pictures.items(), strict=True):
    limits = (
        {"vmin": -20, "vmax": 20, "cmap": "RdBu_r"}
        if title == "residual"
        else {"vmin": low, "vmax": high}
    )
    shown = ax.imshow(image, **{"cmap": "gray", **limits})
    ax.set(title=title, xticks=[], yticks=[])
    figure.colorbar(shown, ax=ax, label="counts", shrink=0.8)
figure.savefig("denoised.png", dpi=100)
