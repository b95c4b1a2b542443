"""
Tune and check in the explorer
==============================

The defaults suit most recordings. When yours shows events that were missed, or
footprints that are too large, try other parameters on a part of the recording, see what
changes, and keep what you chose in a file. The steps in the browser come first, the
same in Python after them. It takes about fifteen seconds.
"""


# %%
# Start
# -----
#
# .. code-block:: bash
#
#    pip install '.[explorer]'          # in a clone of the repository
#    astrocast demo                     # or your own: astrocast run movie.tif
#    astrocast explore runs/demo/run
#
# Your browser opens. The movie is on the left; every bar below it is an event.
#
# .. image:: /figures/explorer_look.png
#    :alt: Registered movie and dF/F side by side, with an event selected
#
# *The screenshots on this page were made from the run of* ``astrocast demo`` *with*
# ``docs/figures/make_explorer.py``.
#
# Find out what is wrong
# ----------------------
#
# 1. Show dF/F (buttons at the top), and press space to play the movie.
# 2. Stop where you see activity without an outline, or an outline without activity.
#    A click on the place shows its trace over the whole recording.
# 3. Click an event: its numbers, its trace and its confidence are on the right.
#
# Change one parameter
# --------------------
#
# Open *Tune*. Each field has a ``?`` with its meaning. After a change the page detects
# again in a crop around the cursor, and colours the events: kept, changed, new, lost.
#
# .. image:: /figures/explorer_tune.png
#    :alt: A preview of other parameters, with events that are kept, new and lost
#
# These parameters help most (:doc:`/reference/knobs` shows a picture of each):
#
# ===========================================  =======================================
# what you see                                 what to change
# ===========================================  =======================================
# weak events are missed                       raise ``false_events``, for example to 1
# large and faint events are missed            raise ``smooth_sigma``, for example 2.5
# footprints are too large or too small        ``extent``: higher is smaller
# one event comes in several pieces            raise ``dip`` or ``dip_in_time``
# two events come as one                       lower ``dip`` or ``dip_in_time``
# many tiny events                             raise ``min_size``
# ===========================================  =======================================
#
# Keep what you chose
# -------------------
#
# *Copy as* gives the parameters as YAML, as a command or as Python. *Run on the whole
# recording* computes a new directory beside the present one; nothing is overwritten.
# The rest of this page does the same in Python.

from pathlib import Path

from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.simulation import SimulationSettings, write_simulation

settings = SimulationSettings(
    seed=21, frames=160, rows=96, columns=96, events=14, snr=1.5, motion=1.0
)
write_simulation(settings, Path("movie.h5"))


def detect(name, **calibration):
    """Run everything with these parameters of the detection; return the events."""
    chosen = RunSettings.checked(
        conversion={"offset": settings.offset},
        detection={"calibration": calibration},
    )
    return run_recording("movie.h5", f"{name}.astrocast", chosen)


runs = {
    "defaults": detect("defaults"),
    "extent 0.5": detect("smaller", extent=0.5),
    "smooth_sigma 2.5": detect("smoother", smooth_sigma=2.5),
}
for name, result in runs.items():
    print(f"{name}: {result.events} events")

# %%
# A higher ``extent`` ends each event nearer to its peak. More smoothing finds fainter
# events and draws all of them larger.

from matplotlib.figure import Figure

from astrocast.analysis import Events

figure = Figure(figsize=(10, 3.4), layout="constrained")
for ax, (name, result) in zip(figure.subplots(1, 3), runs.items(), strict=True):
    Events(result.store, data="infer").plot.footprints(ax)
    ax.set_title(f"{name}: {result.events} events")
figure.savefig("compared.png")

# %%
# Is it better? In a simulation the truth says so. In your recording look at the events
# that are new and at those that are lost, and judge them by their traces.

from astrocast.pipeline.demo import align_truth, read_labels
from astrocast.simulation import Simulator, score

truth = Simulator(settings)
for name, result in runs.items():
    judged = score(align_truth(truth, result), read_labels(result), iou=0.5)
    print(f"{name}: recall {judged.recall:.2f}, precision {judged.precision:.2f}")

# %%
# Then use the same parameters for all recordings of a study: parameters that were tuned
# on each recording would become part of the difference between your groups.
#
# .. code-block:: bash
#
#    astrocast run movie.tif --set detection.calibration.extent=0.5
#
# Decide about single events
# --------------------------
#
# In *Events*, ``a`` accepts the selected event and ``r`` rejects it with a reason. The
# decisions are stored beside the events and apply when you ask for them:
# ``Events("movie.astrocast", curated=True)``.
#
# .. image:: /figures/explorer_curate.png
#    :alt: Accepted and rejected events in two colours
#
# :doc:`/how-to/explore` describes everything that the page can do.
