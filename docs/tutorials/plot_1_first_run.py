"""
A first run: from a movie to a table of events
==============================================

You will simulate a recording of astrocytes with known events, analyse it, look at the
events as a table and in figures, and compare them with the truth. It takes about half a
minute.
"""


# %%
# A recording
# -----------
#
# A recording is an array with the axes frame, row, column. The simulator makes one with
# motion, bleaching and noise, and writes the truth beside it. For your own recording,
# skip this step and give its path below: TIFF, HDF5, zarr, NumPy and others, or a
# folder of TIFFs.

from pathlib import Path

from astrocast.simulation import SimulationSettings, write_simulation

settings = SimulationSettings(
    seed=5,
    frames=200,
    rows=96,
    columns=96,
    events=12,
    frame_rate=5.0,
    pixel_size=0.5,
    motion=2.0,
)
movie = Path("simulated.h5")
written = write_simulation(settings, movie)

# %%
# The run
# -------
#
# One call converts the movie, corrects motion and bleaching, detects events and writes
# a report, as the command ``astrocast run simulated.h5 --output simulated.astrocast``
# does. A second call with the same parameters reuses the complete stages. The offset is
# what the camera counts in the dark; without it dF/F would be too small.

from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings

parameters = RunSettings.checked(conversion={"offset": settings.offset})
result = run_recording(movie, "simulated.astrocast", parameters)
print(result.summary())

# %%
# Open ``simulated.astrocast/report.html`` in a browser: it shows place and time of the
# events, their traces, the quality of the motion correction, and all parameters.

# %%
# The events
# ----------
#
# The directory that ends in ``.roi`` holds the events; ``Events`` reads it. Each row of
# the table is an event: ``z0`` is its first frame, ``z1`` the frame after its last,
# ``x0`` to ``x1`` are its rows and ``y0`` to ``y1`` its columns. Other columns carry
# their unit in the name.

from astrocast.analysis import Events

events = Events(result.store)
table = events.events
columns = ["z0", "z1", "onset_s", "duration_s", "peak_dff", "area_um2", "confidence"]
print(table[columns].round(2).head())
print(
    f"{len(table)} events, median duration {table['duration_s'].median():.1f} s,"
    f" median area {table['area_um2'].median():.0f} µm²"
)

# %%
# Select events, for example those that last between one and ten seconds.

chosen = events.filter({"duration_s": (1, 10)}, inplace=False)
print(f"{len(chosen)} of {len(table)} events last between 1 and 10 s")

# %%
# Figures
# -------
#
# Every function of ``astrocast.plotting`` draws into given or new axes, and returns
# them.

from astrocast import plotting

ax = plotting.raster(table, frames=settings.frames, frame_rate=settings.frame_rate)
ax.figure.savefig("raster.png")
ax = plotting.average_trace(
    list(table["trace"]),
    align="peak",
    frame_rate=settings.frame_rate,
    label="dF (counts)",
)
ax.figure.savefig("average.png")

# %%
# Comparison with the truth
# -------------------------
#
# An event counts as found if its voxels overlap those of a true event by at least 30
# percent (intersection over union).

from astrocast.pipeline.demo import align_truth, read_labels
from astrocast.simulation import Simulator, score

found = read_labels(result)
recovery = score(align_truth(Simulator(settings), result), found, iou=0.3)
print(
    f"precision {recovery.precision:.2f}, recall {recovery.recall:.2f},"
    f" F1 {recovery.f1:.2f}"
)

# %%
# Next steps
# ----------
#
# ``astrocast parameters --yaml > my.yaml`` prints every parameter with its meaning;
# `astrocast run ... --config my.yaml` uses it. [Parameters](../reference/parameters.md)
# and [columns of the table](../reference/event-columns.md) list everything.
