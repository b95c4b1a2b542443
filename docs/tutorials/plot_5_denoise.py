"""
Denoise a recording without other data
======================================

You will simulate a recording with few photons, denoise it with two methods, and compare
raw, denoised, true and residual frames. It takes about half a minute.
"""


# %%
# A recording with few photons
# ----------------------------
#
# With ten photons per pixel, events are hard to see in a single frame.

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
# ``svd`` keeps the spatial patterns of small patches whose variance noise cannot
# explain. It takes a second and needs no extra package.

from astrocast.denoising import Denoiser

patterns = Denoiser("svd")
by_patterns = patterns.run(movie)

# %%
# With a network trained on this recording
# ----------------------------------------
#
# The network learns to predict each frame from its neighbours. Noise cannot be
# predicted, so the prediction is signal. For your own recording choose the time for
# training: ``Denoiser(minutes=5)``. Here a number of steps instead of a time makes the
# result the same on every computer, and smaller patches fit the small frames.

network = Denoiser(steps=200, patch_size=32)
by_network = network.run(movie)
print(f"{network.training.steps} training steps; evaluated by {network.engine_used}")

# %%
# Quality
# -------
#
# For your own recording there is no truth. ``quality`` therefore measures what needs no
# truth: the error on frames that were held out (1 is perfect; do not use a result that
# is worse than the Gaussian), how much of the amplitude of events remains, whether the
# mean has shifted, and whether the residual has structure.

for name, denoiser in (("svd", patterns), ("network", network)):
    print(name, denoiser.quality)

# %%
# In a simulation the truth is known, so the error can be given in decibels, too.

for name, result in (("raw", movie), ("svd", by_patterns), ("network", by_network)):
    error = np.mean(np.square(result - truth))
    print(f"{name:8} {10 * np.log10(np.ptp(truth) ** 2 / error):5.1f} dB")

# %%
# Frames
# ------
#
# If you see an event in the residual (raw minus denoised), denoising has removed it.

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
