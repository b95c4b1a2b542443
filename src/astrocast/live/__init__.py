"""Analysis of a recording while it is recorded.

`Watcher` reads a recording that is still being written, reports each event as soon as
it has ended, and runs the full analysis at the end.
"""

from astrocast.live.event import LiveEvent, LiveState
from astrocast.live.watcher import Watcher, WatchResult
from astrocast.settings.live import LiveSettings

__all__ = ["LiveEvent", "LiveSettings", "LiveState", "WatchResult", "Watcher"]
