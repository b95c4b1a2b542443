"""
Your own file, and what it lacks
================================

A recording that a microscope wrote rarely says everything: the frame rate may be
missing, two channels may alternate, and the camera adds counts that are not light. You
will write such a file, see what astrocast says about it, and give what is missing. It
takes about ten seconds.
"""


# %%
# A file as microscopes write it
# ------------------------------
#
# A plain TIFF: even frames are the calcium indicator, odd frames a structural dye. The
# file has no frame rate and no pixel size. The camera adds 100 counts in the dark.
# For your own file, skip this step.

import numpy as np
import tifffile

from astrocast.simulation import SimulationSettings, simulate

settings = SimulationSettings(
    seed=3, frames=120, rows=72, columns=72, events=7, snr=5.0, motion=1.5, offset=100.0
)
made = simulate(settings)
dye = np.random.default_rng(1).poisson(3 * made.f0 + 900, made.movie.shape)
both = np.empty((2 * settings.frames, *made.movie.shape[1:]), np.uint16)
both[0::2], both[1::2] = made.movie, dye
tifffile.imwrite("session.tif", both, photometric="minisblack")

# %%
# What is in the file
# -------------------
#
# ``astrocast info session.tif`` prints this. It found no frame rate and no pixel size,
# and it noticed that neighbouring frames differ more than every second one:

from astrocast.cli.app import app

app(["info", "session.tif"], standalone_mode=False)

# %%
# A run refuses the file, because nothing in it says that it holds two channels. Every
# such message says what was found and what to do:

from astrocast.errors import AstrocastError
from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings

try:
    run_recording("session.tif", "refused.astrocast")
except AstrocastError as error:
    print(error)

# %%
# The two channels
# ----------------
#
# Look at the pictures before you decide which frames belong together.

from matplotlib.figure import Figure

from astrocast import plotting
from astrocast.io import open_recording

with open_recording("session.tif") as recording:
    frames = recording.read(0, len(recording))
figure = Figure(figsize=(8, 3.4), layout="constrained")
left, right = figure.subplots(1, 2)
plotting.projection(frames[0::2].mean(axis=0), left, label="counts")
plotting.projection(frames[1::2].mean(axis=0), right, label="counts")
left.set_title("even frames: indicator")
right.set_title("odd frames: dye")
figure.savefig("channels.png")

# %%
# What is missing, given
# ----------------------
#
# These are the parameters of ``astrocast run``. On the command line:
#
# .. code-block:: bash
#
#    astrocast run session.tif --output session.astrocast \
#        --set "conversion.channels={0: ch0, 1: ch1}" --set channel=ch0 \
#        --set frame_rate=5 --set pixel_size=0.5 --set conversion.offset=100

known = {
    "frame_rate": 5.0,  # Hz, of one channel
    "pixel_size": 0.5,  # micrometres
    "channel": "ch0",  # the one in which events are detected
}
channels = {0: "ch0", 1: "ch1"}
result = run_recording(
    "session.tif",
    "session.astrocast",
    RunSettings.checked(**known, conversion={"channels": channels, "offset": 100}),
)
print(result.summary())

# %%
# Why the camera's offset matters
# -------------------------------
#
# The offset cancels in dF, but not in the fluorescence at rest that dF/F divides by.
# Without the offset dF/F is too small, as the medians below show. If you do not know
# it, record a few frames with the shutter closed and set ``conversion.offset`` to their
# mean, or to ``auto`` where the recording has such frames.

from astrocast.analysis import Events

without = run_recording(
    "session.tif",
    "no_offset.astrocast",
    RunSettings.checked(**known, conversion={"channels": channels}),
)
right_table = Events(result.store).events
wrong_table = Events(without.store).events
columns = ["peak_df", "f0", "peak_dff"]
print("offset given:", right_table[columns].median().round(2).to_dict())
print("not given:   ", wrong_table[columns].median().round(2).to_dict())

# %%
figure = Figure(figsize=(7, 3.2), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
for ax, table, title in (
    (left, right_table, "offset given"),
    (right, wrong_table, "offset not given"),
):
    ax.plot(sorted(made.events["peak_dff"]), "o", color="0.7", label="truth")
    ax.plot(sorted(table["peak_dff"]), "o", color="#0072b2", label="measured")
    ax.set(title=title, xlabel="event, from small to large", ylim=(0, None))
left.set_ylabel("peak dF/F")
left.legend(frameon=False)
figure.savefig("offset.png")

# %%
# Other things a file may lack
# ----------------------------
#
# ======================================  ==========================================
# what is missing or ambiguous            what to give
# ======================================  ==========================================
# several planes, positions or channels   ``--plane``, ``--position``, ``--channel``
# meaning of the axes of an array         ``--axes TZYX``
# files of a folder                       ``--missing blank`` or ``--missing close``
# several datasets in HDF5 or zarr        ``--loc data/stack``
# frame rate, pixel size                  ``--set frame_rate=``, ``--set pixel_size=``
# offset of the camera                    ``--set conversion.offset=``
# ======================================  ==========================================
#
# :doc:`/how-to/run-your-recording` explains each, and :doc:`/algorithms/conversion`
# lists the formats.
