"""
While it is recorded: events as they happen
===========================================

You will watch a recording while a pretended microscope writes it, see each event as
soon as it has ended, and compare the events with those of the full detection. It takes
about half a minute.
"""


# %%
# A microscope
# ------------
#
# It writes the frames of a simulated recording into a raw binary file, 20 at a time.
# The clock is pretended as well, so that you need not wait: it moves when the watcher
# sleeps. For a real recording leave out ``clock`` and ``sleep``.

from pathlib import Path

import numpy as np

from astrocast.simulation import SimulationSettings, Simulator

RATE = 10.0
settings = SimulationSettings(
    frames=400, rows=64, columns=64, events=18, snr=3.0, seed=12, frame_rate=RATE
)
simulator = Simulator(settings)
movie = np.asarray(simulator.movie(0, 400)).astype("<u2")


class Microscope:
    """Writes the frames that are due."""

    now, written = 0.0, 0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        due = min(400, int(self.now * RATE) // 20 * 20)
        with Path("session.raw").open("ab") as file:
            file.write(movie[self.written : due].tobytes())
        self.written = due


# %%
# Watch it
# --------
#
# The first 192 frames are learned from: their events are reported together. Later
# events are reported one by one.

from astrocast.io.growing.raw import RawLayout
from astrocast.live import LiveSettings, Watcher
from astrocast.pipeline.settings import RunSettings

microscope = Microscope()
heard = []


def hear(event):
    heard.append((microscope.now, event))


watcher = Watcher(
    "session.raw",
    "session.astrocast",
    RunSettings(frame_rate=RATE),
    LiveSettings(idle=5.0, frame_memory=32, window=256),
    raw=RawLayout(rows=64, columns=64, dtype="<u2"),
    clock=microscope.clock,
    sleep=microscope.sleep,
)
result = watcher.run(hear)
for now, event in heard[-3:]:
    print(
        f"at {now:.1f} s: event {event.number}, frames {event.start} to {event.stop},"
        f" {event.latency:.1f} s after its last frame"
    )

# %%
# When each event was known
# -------------------------
#
# Each line is an event, from its first to its last frame; the dot is when it was
# reported.

import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(7, 3.5))
for now, event in heard:
    span = [event.start / RATE, event.stop / RATE]
    ax.plot(span, [event.number] * 2, color="#0072b2", lw=3)
    ax.plot(now, event.number, "o", color="#d55e00", ms=4)
ax.axvline(192 / RATE, color="0.6", lw=1)
ax.set(xlabel="time (s)", ylabel="event", title="Events, and when they were reported")
fig.savefig("live.png")

# %%
# How far live and full analysis agree
# ------------------------------------
#
# At the end of the recording the full analysis ran. Its tables are the ones to publish.

print(result.summary())
print(result.agreement)
