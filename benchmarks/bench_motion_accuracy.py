"""Motion correction: error per frame beside the Cramer-Rao bound and two references.

Rigid recordings of the simulator, from quiet to all disturbances. `bench_motion_fields`
is about recordings that bend.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.preparation import MotionCorrection
from astrocast.simulation import SimulationSettings, Simulator
from benchmarks.harness import heading, line
from benchmarks.motion_references import (
    cramer_rao,
    phase_correlation_shifts,
    scikit_image_shifts,
)

#: of every recording here, unless it is a preset of the simulator
BASE = {"photons": 20.0, "motion": 3.0, "motion_step": 0.3, "amplitude": (1.0, 3.0)}
#: name -> parameters that differ; a preset is named
RECORDINGS: dict[str, dict[str, Any]] = {
    "no events": {"events": 0},
    "60 growing events": {"events": 60, "kinds": ("growing",)},
    "30 travelling events": {"events": 30, "kinds": ("travelling",)},
    "40 events, 3 photons": {"events": 40, "photons": 3.0},
    "all disturbances": {"preset": "nuisances"},
}


def planned(size: int, frames: int, seed: int, changes: dict[str, Any]) -> Simulator:
    """Return a recording of the simulator; a preset has its own size and length."""
    changes = dict(changes)
    preset = changes.pop("preset", None)
    if preset is not None:
        return Simulator(SimulationSettings.preset(preset, seed=seed, **changes))
    shape = {"frames": frames, "rows": size, "columns": size, "seed": seed}
    # events of this number do not all fit without touching
    return Simulator(SimulationSettings(**(BASE | shape | {"overlap": True} | changes)))


def spread(off: NDArray[np.float64]) -> tuple[float, float]:
    """Return median and 95 % of the error per axis; where the template lies is free."""
    off = np.abs(off - np.median(off, axis=0))
    return float(np.median(off)), float(np.percentile(off, 95))


def compare_rigid(size: int, frames: int, seeds: tuple[int, ...]) -> None:
    heading("error of rigid shifts, px (median / 95 %), and ours over the bound")
    for name, changes in RECORDINGS.items():
        for seed in seeds:
            plan = planned(size, frames, seed, changes)
            movie, truth = plan.movie(0, plan.shape[0]), plan.motion.shifts
            mc = MotionCorrection(logging_level=30)
            mc.run(movie, max_shifts=(15, 15), bidi="off")
            bound, ours = cramer_rao(plan), spread(mc.shifts - truth)
            phase = spread(phase_correlation_shifts(movie) - truth)
            few = slice(None, None, 4)
            skimage = scikit_image_shifts(movie[few], mc.template)
            other = spread(skimage - truth[few])
            line(
                f"{name}, seed {seed}",
                f"bound {bound[0]:.3f} / {bound[1]:.3f}"
                f"  ours {ours[0]:.3f} / {ours[1]:.3f}"
                f" ({ours[0] / bound[0]:.2f} / {ours[1] / bound[1]:.2f})"
                f"  phase {phase[0]:.3f} / {phase[1]:.3f}"
                f"  scikit-image {other[0]:.3f} / {other[1]:.3f}",
            )


def run(quick: bool, seeds: tuple[int, ...] = (1, 2)) -> None:
    size, frames = (96, 30) if quick else (256, 240)
    compare_rigid(size, frames, seeds[:1] if quick else seeds)
