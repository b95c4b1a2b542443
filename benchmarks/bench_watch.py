"""The live analysis: CPU time per frame at 512 x 512, and agreement with the full one.

CPU time counts all threads. At 30 Hz two cores have 66.7 ms for a frame.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from astrocast.detection.calibrated.segment import calibrated_events
from astrocast.io.memory import ArrayRecording
from astrocast.kernels.parallel import count_cores
from astrocast.live.detector import LiveDetector
from astrocast.live.registration import LiveRegistration
from astrocast.live.session import tick_frames
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.live import LiveSettings
from astrocast.settings.motion import MotionSettings
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation import Simulator
from astrocast.simulation.scoring import score
from benchmarks.harness import heading, line

RATE = 30.0
SEEDS = (3110, 3111, 3112)


def speed(size: int, frames: int, events: int) -> None:
    """Print the CPU time of a frame: judged, registered and searched."""
    settings = SimulationSettings(
        frames=frames,
        rows=size,
        columns=size,
        events=events,
        snr=3.0,
        motion=2.0,
        seed=5,
        overlap=True,
    )
    movie = np.asarray(Simulator(settings).movie(0, frames)).astype(np.uint16)
    live = LiveSettings()
    with ThreadPoolExecutor(count_cores()) as pool:
        registration = LiveRegistration(MotionSettings(), pool)
        detector = LiveDetector(
            (size, size),
            tick_frames(RATE),
            round(live.margin * RATE),
            CalibratedSettings(),
            live,
            pool,
        )
        registration.learn(movie[: live.learn])
        spent = {"registration": 0.0, "detection": 0.0}
        found, longest = 0, 0.0
        for start in range(0, frames, 16):
            begin, wall = time.process_time(), time.perf_counter()
            prepared = registration.push(movie[start : start + 16], start)
            middle = time.process_time()
            detector.border = registration.border
            found += len(detector.push(prepared.frames, prepared.bad))
            end = time.process_time()
            if start >= live.learn + 64:  # the first frames are learned from
                spent["registration"] += middle - begin
                spent["detection"] += end - middle
                longest = max(longest, time.perf_counter() - wall)
        detector.close()
    counted = frames - live.learn - 64
    for name, used in spent.items():
        line(f"{name}, {size} x {size}", f"{1e3 * used / counted:8.1f} CPU ms/frame")
    total = 1e3 * sum(spent.values()) / counted
    goal = f"at most {1e3 * count_cores() / RATE:.1f} at {RATE:g} Hz"
    line(f"together, {found} events", f"{total:8.1f} CPU ms/frame", goal)
    line("longest time for 16 frames", f"{longest:8.2f} s")


def agreement(frames: int) -> None:
    """Print how far live and full detection agree at SNR 2, without motion."""
    for seed in SEEDS:
        settings = SimulationSettings.preset(
            "mixed", snr=2.0, seed=seed, frames=frames, rows=128, columns=128
        )
        movie = np.asarray(Simulator(settings).movie(0, frames))
        with ThreadPoolExecutor(count_cores()) as pool:
            full = calibrated_events(ArrayRecording(movie), pool=pool)
            detector = LiveDetector(
                (128, 128), 4, 5, CalibratedSettings(), LiveSettings(), pool
            )
            found = detector.push(movie.astype(np.float32), np.zeros(frames, np.bool_))
            found += detector.finish()
            detector.close()
        judged = score(full, [e.layers.voxels for e in found])
        line(
            f"agreement, seed {seed}, {len(full)} events",
            f"F1 {judged.f1:.3f}",
            "at least 0.95",
        )


def run(*, quick: bool = False) -> None:
    heading("Live analysis")
    speed(128 if quick else 512, 320 if quick else 900, 40 if quick else 600)
    agreement(320 if quick else 800)
