"""
One recording on a cluster
==========================

A recording that takes too long on one computer is cut into blocks, which the workers of
a dask cluster compute. Here the cluster is two processes on this computer; on a real
one nothing changes but the address. It takes about half a minute, most of which is
starting the workers.
"""

# %%
# A recording that all workers see
# --------------------------------
#
# Zarr stores each chunk in a file of its own, so several processes may write one
# recording together.

import tempfile
from pathlib import Path

import numpy as np

from astrocast.io import create_recording, open_recording
from astrocast.simulation import SimulationSettings, simulate

folder = Path(tempfile.mkdtemp())
movie = simulate(
    SimulationSettings(seed=3, frames=160, rows=48, columns=48, events=4, motion=2.0)
).movie
movie = np.clip(movie, 0, 65535).astype(np.uint16)
with create_recording(
    folder / "movie.zarr", "data/ch0", movie.shape, movie.dtype, chunks=(32, 48, 48)
) as writer:
    writer.write(0, movie)


# %%
# The same stages, with a client connected
# ----------------------------------------
#
# Stages look for a connected client by themselves. Without one, everything runs on the
# threads of this computer.

from astrocast.preparation import MotionCorrection


def register(name: str) -> np.ndarray:
    """Register the recording, and return the shift of each frame."""
    motion = MotionCorrection(logging_level=40)
    motion.run(folder / "movie.zarr", "data/ch0", max_shifts=(6, 6))
    motion.save(folder / name, "mc/ch0")
    return motion.shifts


# %%
# What starts processes belongs below ``if __name__ == "__main__":``, as each of them
# reads the script.

from distributed import Client, LocalCluster

if __name__ == "__main__":
    workers = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with workers as cluster, Client(cluster):
        there = register("cluster.zarr")
    here = register("threads.zarr")

# %%
# The result is the same
# ----------------------
#
# Not nearly, but to the last bit: blocks do not depend on each other, and results are
# put together in their order.

if __name__ == "__main__":
    with (
        open_recording(folder / "cluster.zarr", "mc/ch0") as one,
        open_recording(folder / "threads.zarr", "mc/ch0") as other,
    ):
        print("shifts equal:", np.array_equal(there, here))
        print("movies equal:", np.array_equal(one.to_array(), other.to_array()))

# %%
# The shifts of the cluster over those of the threads (grey):

from matplotlib.figure import Figure

from astrocast import plotting

if __name__ == "__main__":
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    ax = figure.subplots()
    ax.plot(np.arange(len(here)) / 5.0, here, color="0.8", linewidth=5)
    plotting.shifts(there, ax, frame_rate=5.0)
    figure.savefig("shifts.png")

# %%
# On a real cluster
# -----------------
#
# ``astrocast run movie.zarr --scheduler tcp://ADDRESS:8786`` does all stages this way,
# ``--slurm jobs=8,cores=4,memory=16GB`` starts the workers as well; see the guide
# "Analyse a recording on a cluster".
