"""Long recordings: cost per frame and memory from 1,000 frames to a million.

``python -m benchmarks long`` goes up to 100,000 frames of 64 x 64 pixels. The longer
ones take hours and 60 GB of disk: ``python -m benchmarks.bench_long 1000000``. A number
of rows and columns may follow: ``python -m benchmarks.bench_long 100000 512``.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.harness import heading, line, peak_memory

LENGTHS = (1_000, 10_000, 100_000)
SIZE = 64

#: a recording that is made when it is read: 2,000 simulated frames over and over, as a
#: film that runs forwards and backwards, so that there is no jump
RECORDING = """
import resource, tempfile
from pathlib import Path
import numpy as np
from astrocast.io.recording import ALL, Metadata, Recording
from astrocast.simulation import SimulationSettings, Simulator

class Film(Recording):
    def __init__(self, frames, size):
        events = max(4, 60 * size * size // 64**2 // 4)
        settings = SimulationSettings(
            frames=1000, rows=size, columns=size, events=events, snr=4.0, motion=1.5,
            seed=2, frame_rate=10.0, bleach_fraction=0.0)
        self.film = np.asarray(Simulator(settings).movie(0, 1000)).astype(np.uint16)
        self.shape, self.dtype = (frames, size, size), np.dtype(np.uint16)
        self.metadata, self.path = Metadata(frame_rate=10.0), Path("film.raw")
    def read(self, start, stop, rows=ALL, columns=ALL):
        t = np.arange(start, stop) % 2000
        frames = self.film[np.minimum(t, 1999 - t)]
        return np.ascontiguousarray(frames[:, rows, columns])

film = Film(frames, size)
folder = tempfile.TemporaryDirectory(dir=disk)
place = Path(folder.name)
"""
STAGES = {
    "motion": """
from astrocast.preparation import MotionCorrection
MotionCorrection().run(film)
""",
    "delta": """
from astrocast.preparation import Delta
delta = Delta(film)
delta.run(window=100, baseline="corrected_minimum")
delta.save(place / "df.h5", loc="df/ch0", chunk_strategy="XY")
""",
    "detection": """
from astrocast.detection.checkpoint import Checkpoint
from astrocast.detection.inputs import DetectionInputs
from astrocast.detection.run import detect
from astrocast.runtime.threads import worker_threads
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.detection import DetectionSettings
store = Checkpoint(place / "film.roi", {})
known = DetectionInputs((0, 0, 0, 0), None, signal_kind="F")
with worker_threads("detect") as pool:
    detect(film, DetectionSettings(), store, {}, {}, known, pool, CalibratedSettings())
""",
    "run": """
from astrocast.pipeline.run import run_recording
run_recording(film, place / "run")
""",
}
SPENT = """
import time
used = time.process_time()
{code}
used = time.process_time() - used
folder.cleanup()
result = used
"""


def measure(stage: str, frames: int, size: int, disk: str | None) -> tuple[float, Any]:
    """Return peak memory in MB, and CPU seconds, of a stage in a fresh process."""
    warm = "import warnings; warnings.simplefilter('ignore')\n"
    code = warm + RECORDING + SPENT.format(code=STAGES[stage])
    peak, _, used = peak_memory(code, frames=frames, size=size, disk=disk)
    return peak, used


def table(lengths: tuple[int, ...], size: int, disk: str | None = None) -> None:
    """Print CPU time per frame and peak memory of each stage at each length."""
    heading(f"Long recordings of {size} x {size} pixels")
    for stage in STAGES:
        for frames in lengths:
            peak, used = measure(stage, frames, size, disk)
            line(
                f"{stage}, {frames:,} frames",
                f"{1e3 * used / frames:8.3f} CPU ms/frame {peak:8.0f} MB",
            )


def run(*, quick: bool = False) -> None:
    table(LENGTHS[:1] if quick else LENGTHS, SIZE)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    table((given[0],) if given else LENGTHS, given[1] if len(given) > 1 else SIZE)
