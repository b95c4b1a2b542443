"""Figures from arrays and tables: axes in, axes out.

Every function draws into the given axes, or into a new `matplotlib.figure.Figure`
(pyplot's global state is neither used nor changed), and returns the axes:
``raster(events).figure.savefig("raster.png")``.
"""

from astrocast.plotting.distributions import distribution
from astrocast.plotting.event_traces import average_trace, gallery, traces
from astrocast.plotting.recording_quality import bleaching, registration, shifts
from astrocast.plotting.timeline import event_rate, mean_trace, raster
from astrocast.plotting.tissue import density, footprints, projection

__all__ = [
    "average_trace",
    "bleaching",
    "density",
    "distribution",
    "event_rate",
    "footprints",
    "gallery",
    "mean_trace",
    "projection",
    "raster",
    "registration",
    "shifts",
    "traces",
]
