"""
Take the results elsewhere
==========================

You will write the events of a run as CSV, Excel, Parquet, ImageJ regions, NWB and
OME-Zarr, and read each back as another program does. It takes about ten seconds.
"""


# %%
# A run
# -----

from pathlib import Path

from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.simulation import SimulationSettings, write_simulation

settings = SimulationSettings(
    seed=7, frames=120, rows=80, columns=80, events=8, snr=5.0, motion=1.0
)
write_simulation(settings, Path("movie.h5"))
run = RunSettings.checked(conversion={"offset": settings.offset})
run_recording("movie.h5", "movie.astrocast", run)

# %%
# What a run wrote already
# ------------------------
#
# ``events.csv`` opens everywhere. ``events.parquet`` holds the traces as well.

import pandas as pd

store = Path("movie.astrocast/recording.ch0.roi")
for path in sorted(store.iterdir()):
    print(f"{path.name:22}{path.stat().st_size / 1e3:8.1f} kB")
csv = pd.read_csv(store / "events.csv", index_col=0)
print(csv[["peak_dff", "onset_s", "duration_s", "area_um2"]].head(3).round(2))

# %%
# Choose, then write
# ------------------
#
# ``events.export`` writes the events that the table holds, so a filter applies. On the
# command line the same is ``astrocast export movie.astrocast --to xlsx -o table.xlsx
# --where "peak_dff > 0.2"``.

from astrocast.analysis import Events

events = Events("movie.astrocast", data="infer")
events.filter({"peak_dff": (0.2, None)})

events.export.excel("table.xlsx")
sheets = pd.read_excel("table.xlsx", sheet_name=None)
for name, sheet in sheets.items():
    print(f"sheet {name!r}: {len(sheet)} rows, {len(sheet.columns)} columns")

# %%
# Footprints for ImageJ
# ---------------------
#
# Drag ``rois.zip`` onto ImageJ or Fiji; each region is named after its event.

import roifile

events.export.rois("rois.zip")
regions = roifile.roiread("rois.zip")
print(len(regions), "regions, the first one:", regions[0].name)

# %%
# A picture
# ---------

events.export.picture("footprints.png")

# %%
# NWB for archives
# ----------------
#
# Archives such as DANDI want the subject as well. The events are a table of the file,
# with the meaning of each column.

from pynwb import NWBHDF5IO

events.export.nwb(
    "session.nwb",
    description="GCaMP6f in cortical astrocytes",
    subject={"subject_id": "m1", "species": "Mus musculus", "sex": "F", "age": "P90D"},
)
with NWBHDF5IO("session.nwb", "r") as file:
    session = file.read()
    for name, module in session.processing.items():
        print(name, "holds", ", ".join(module.data_interfaces))

# %%
# OME-Zarr for viewers
# --------------------
#
# The recording as image, the events as its labels; napari, Fiji and others open it.

import zarr

events.export.ome_zarr("session.ome.zarr")
group = zarr.open_group("session.ome.zarr", mode="r")
for name, array in sorted(group.members(max_depth=None)):
    if isinstance(array, zarr.Array):
        print(name, array.shape, array.dtype)

# %%
# A film with outlines, time stamp and scale bar needs the extra ``video``:
#
# .. code-block:: bash
#
#    astrocast export movie.astrocast --to mp4 -o movie.mp4
#
# Existing files are not overwritten unless you say so: ``overwrite=True``, or
# ``--overwrite``.
