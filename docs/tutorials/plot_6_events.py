"""
Events and their numbers
========================

You will detect events, read the columns that go into a publication, see on a trace what
each number means, select events, and draw the usual figures. It takes about fifteen
seconds.
"""


# %%
# A recording and its events
# --------------------------
#
# Round events and waves along the processes of astrocytes.

from pathlib import Path

from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.simulation import SimulationSettings, write_simulation

settings = SimulationSettings(
    seed=12,
    frames=240,
    rows=112,
    columns=112,
    snr=5.0,
    motion=1.0,
    counts={"static": 6, "growing": 4, "wave": 5, "several_peaks": 2},
)
write_simulation(settings, Path("movie.h5"))
result = run_recording(
    "movie.h5",
    "movie.astrocast",
    RunSettings.checked(conversion={"offset": settings.offset}),
)

# %%
# The columns for publication
# ---------------------------
#
# A name ends in its unit. Where the frame rate or the pixel size is not known, the
# columns are called ``onset_frames`` and ``area_px`` instead, and nothing is mixed.

from astrocast.analysis import Events

events = Events("movie.astrocast", data="infer")
table = events.events
numbers = [
    "peak_dff",
    "snr",
    "onset_s",
    "rise_s",
    "half_width_s",
    "decay_s",
    "area_um2",
]
print(table[numbers].describe().loc[["count", "min", "50%", "max"]].round(2))

# %%
# What they mean
# --------------
#
# All times and amplitudes are read off one trace: the mean over the *fixed* footprint,
# with frames before and after the event, in which pixels of other events are left out.

import numpy as np
from matplotlib.figure import Figure

rate = settings.frame_rate
chosen = table.loc[table["snr"].where(table["touches_start"] == 0).idxmax()]
trace = np.asarray(chosen["footprint_trace"]) - chosen["local_baseline"]
time = (chosen["footprint_trace_z0"] + np.arange(len(trace))) / rate
peak = chosen["peak_df"]

figure = Figure(figsize=(9, 4), layout="constrained")
ax = figure.subplots()
ax.plot(time, trace, color="0.25", linewidth=1.2)
ax.axhline(0, color="0.7", linewidth=0.8)
ax.axhline(peak, color="#d55e00", linewidth=0.8, linestyle="--")
ax.text(time[0], peak, " peak_df", color="#d55e00", va="bottom")
marks = {
    "onset_s": ("#009e73", "right"),
    "peak_s": ("#d55e00", "center"),
    "offset_s": ("#0072b2", "left"),
}
for name, (colour, side) in marks.items():
    ax.axvline(chosen[name], color=colour, linewidth=1)
    ax.text(chosen[name], 1.13 * peak, f" {name} ", color=colour, ha=side)
above = np.flatnonzero(trace > peak / 2)
ax.annotate(
    "",
    (time[above[0]], peak / 2),
    (time[above[0]] + chosen["half_width_s"], peak / 2),
    arrowprops={"arrowstyle": "<->", "color": "#cc79a7"},
)
right_end = time[above[0]] + chosen["half_width_s"]
ax.text(right_end, peak / 2, "  half_width_s", color="#cc79a7", va="center")
ax.set(xlabel="time (s)", ylabel="dF above the local baseline (counts)")
ax.set_ylim(top=1.25 * peak)
ax.spines[["top", "right"]].set_visible(False)
figure.savefig("one_event.png")

# %%
# Meaning and unit of every column are beside the table, in ``events.columns.json``:

import json

meanings = json.loads((result.store / "events.columns.json").read_text())
listed = {column["name"]: column for column in meanings}
for name in ("peak_df", "rise_s", "speed_um_s"):
    print(f"{name} ({listed[name]['unit']}): {listed[name]['description']}")

# %%
# Select events
# -------------
#
# Give a range for each column, ``None`` for no limit. With ``inplace=False`` you get
# the chosen rows and ``events`` stays as it is. Events that the recording cuts are left
# out here, because their duration is not known.

limits = {"touches_start": (0, 0), "touches_end": (0, 0), "peak_dff": (0.2, None)}
chosen_rows = events.filter(limits, inplace=False)
print(f"{len(chosen_rows)} of {len(table)} events are whole and reach 0.2 dF/F")

# %%
# When, where, how large
# ----------------------

figure = Figure(figsize=(9, 6), layout="constrained")
axes = figure.subplots(2, 2)
events.plot.raster(axes[0, 0])
events.plot.footprints(axes[0, 1])
events.plot.distribution("peak_dff", axes[1, 0])
events.plot.distribution("half_width_s", axes[1, 1])
figure.savefig("overview.png")

# %%
# Each event in its own time, the longest traces first:

from astrocast import plotting

order = np.argsort(-table["snr"].to_numpy())
dff = [
    (np.asarray(row["footprint_trace"]) - row["local_baseline"]) / row["f0"]
    for _, row in table.iloc[order].iterrows()
]
ax = plotting.gallery(dff, frame_rate=rate, columns=6, limit=12, label="dF/F")
ax.figure.savefig("gallery.png")

# %%
# Which events travel
# -------------------
#
# ``speed_um_s`` is the speed of the onset front along the footprint, with a standard
# error. It is empty where the front does not move measurably, as in a round event that
# rises everywhere at once.

moving = table[table["speed_um_s"].notna()]
print(f"{len(moving)} of {len(table)} events travel")
print(moving[["speed_um_s", "speed_error_um_s", "direction_deg"]].round(1).head())

# %%
# More columns
# ------------
#
# ``physiology`` adds shape, propagation and company: how many other events lie in the
# same place, or happen at the same time.

more = events.physiology()
print(more[["v_same_place", "v_simultaneous"]].describe().loc[["min", "50%", "max"]])

# %%
# :doc:`/algorithms/physiology` defines each number and says how far it is from the
# truth of simulations; :doc:`/reference/event-columns` lists all columns.
