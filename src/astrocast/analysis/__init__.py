"""Analyse detected events: load, filter, normalise, group, compare, export."""

from astrocast.analysis.events import Events
from astrocast.analysis.multi import MultiEvents
from astrocast.analysis.video import Video

__all__ = ["Events", "MultiEvents", "Video"]
