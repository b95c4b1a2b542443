"""Motion correction of recordings that bend: rigid against piecewise, with events.

The error at places every 16 pixels, without and with events: events must not pull a
field more than a single shift.
"""

from __future__ import annotations

import numpy as np

from astrocast.preparation import MotionCorrection
from astrocast.simulation import Simulator
from benchmarks.bench_motion_accuracy import planned, spread
from benchmarks.harness import heading, line


def field_error(mc: MotionCorrection, plan: Simulator) -> tuple[float, float]:
    """Return median and 95 % of the error at places every 16 pixels, per axis."""
    step, rest = 16, []
    rows, columns = plan.shape[1:]
    for t in range(0, plan.shape[0], 2):
        found = mc.field_at(t)[:, 8::step, 8::step]
        truth = np.broadcast_to(
            plan.motion.displacement(t, t + 1)[0], (2, rows, columns)
        )
        place = np.mgrid[8:rows:step, 8:columns:step] + found
        y = np.clip(np.rint(place[0]), 0, rows - 1).astype(int)
        x = np.clip(np.rint(place[1]), 0, columns - 1).astype(int)
        rest.append(found - truth[:, y, x])
    return spread(np.array(rest))


def compare_piecewise(size: int, frames: int, seeds: tuple[int, ...]) -> None:
    heading("error of rigid and piecewise correction, px (median / 95 %)")
    bending = {"deformation": 2.0, "deformation_scale": 96.0}
    for events in (0, 60):
        for name, changes in (("rigid motion", {}), ("2 px fields", bending)):
            for seed in seeds:
                plan = planned(size, frames, seed, changes | {"events": events})
                movie, found = plan.movie(0, frames), []
                for pw_rigid in (False, True):
                    mc = MotionCorrection(logging_level=30)
                    mc.run(movie, max_shifts=(15, 15), pw_rigid=pw_rigid, bidi="off")
                    found.append(field_error(mc, plan))
                line(
                    f"{name}, {events} events, seed {seed}",
                    f"rigid {found[0][0]:.3f} / {found[0][1]:.3f}"
                    f"  piecewise {found[1][0]:.3f} / {found[1][1]:.3f}",
                )


def run(quick: bool, seeds: tuple[int, ...] = (1, 2)) -> None:
    size, frames = (96, 30) if quick else (256, 240)
    compare_piecewise(size, frames, seeds[:1] if quick else seeds)
