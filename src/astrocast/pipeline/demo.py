"""The main job on a simulated recording, and how well its known events were found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import OutputError
from astrocast.io.event_store import open_event_map
from astrocast.io.hdf5 import dataset_names
from astrocast.io.registration_store import read_registration
from astrocast.pipeline.run import RECORDING, RunResult, run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.runtime.provenance import write_json
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation import Simulator, score, write_simulation

#: large enough to show every stage at work, small enough for a minute
DEMO = SimulationSettings(
    seed=11, frames=500, rows=192, columns=192, frame_rate=5.0, pixel_size=0.5, events=40, snr=4.0, motion=4.0
)
MOVIE, SCORE = "simulated.h5", "score.json"


def demonstrate(directory: Path, settings: SimulationSettings = DEMO) -> str:
    """Simulate a recording (motion, bleaching, noise, known events), run the main job on it, and return the score.

    Parameters
    ----------
    directory
        Receives ``simulated.h5``, ``score.json`` and the run in ``run/``; what is complete there is reused.
    settings
        The recording to simulate.

    Returns
    -------
    str
        What a person wants to know: how many of the true events were found, and where to look.
    """
    simulator = Simulator(settings)
    movie = directory / MOVIE
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the directory {directory} cannot be created: {error.strerror or error}") from error
    if not movie.exists() or "data/ch0" not in dataset_names(movie):
        write_simulation(settings, movie)
    result = run_recording(movie, directory / "run", RunSettings.checked(conversion={"loc_in": "data/ch0"}))
    found = found_events(result)
    truth = truth_as_seen(simulator, result)
    scores = {f"F1 at IoU {iou}": score(truth, found, iou) for iou in (0.3, 0.5)}
    best = scores["F1 at IoU 0.5"]
    numbers = {name: round(s.f1, 3) for name, s in scores.items()} | {
        "precision at IoU 0.5": round(best.precision, 3),
        "recall at IoU 0.5": round(best.recall, 3),
        "mean IoU of the matched": round(best.mean_iou, 3) if best.pairs.size else None,
        "true events": best.n_truth,
        "found events": best.n_found,
    }
    write_json(directory / SCORE, numbers)
    lines = [f"{name}: {value}" for name, value in numbers.items()]
    return "\n".join([*lines, result.summary()])


def found_events(result: RunResult) -> NDArray[Any]:
    """Return the label volume of a run."""
    with open_event_map(result.store) as labels:
        return labels.to_array()


def truth_as_seen(simulator: Simulator, result: RunResult) -> NDArray[np.int32]:
    """Return the true labels in the geometry of the corrected movie.

    A corrected movie rests where its template rests, which is where most frames were, not where the simulated scene is
    without motion: the constant between true and estimated shifts.
    """
    truth = simulator.labels(0, simulator.shape[0])
    found = read_registration(result.directory / RECORDING, "mc/ch0")
    if found is None:
        return truth
    offset = np.rint(np.median(simulator.motion.shifts - found.shifts, axis=0)).astype(int)
    moved = np.roll(truth, offset, axis=(1, 2))
    for axis, by in zip((1, 2), offset, strict=True):  # what rolled round the edge was never in view
        edge = [slice(None)] * 3
        edge[axis] = slice(0, by) if by > 0 else slice(moved.shape[axis] + by, None) if by < 0 else slice(0, 0)
        moved[tuple(edge)] = 0
    return moved
