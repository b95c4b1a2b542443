"""Run the analysis on a simulated recording and compare it with the known events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import OutputError, ResultsDifferError
from astrocast.io.stores.event_map import open_event_map
from astrocast.io.stores.registration_store import read_registration
from astrocast.pipeline.movies import find_movies
from astrocast.pipeline.run import RunResult, run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.runtime.provenance import write_json
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation import Simulator, read_truth, score, write_simulation

#: recording of the demo: every stage has something to do, and it takes about a minute
DEMO = SimulationSettings(
    seed=11,
    frames=500,
    rows=192,
    columns=192,
    frame_rate=5.0,
    pixel_size=0.5,
    events=40,
    snr=4.0,
    motion=4.0,
)
MOVIE, SCORE = "simulated.h5", "score.json"


def demonstrate(directory: Path, settings: SimulationSettings = DEMO) -> str:
    """Simulate a recording with known events, analyse it, and return the score.

    The recording has motion, bleaching and noise.

    Parameters
    ----------
    directory
        Directory for ``simulated.h5``, ``score.json`` and the run in ``run/``. Complete
        files are reused.
    settings
        Settings of the simulation.

    Returns
    -------
    str
        A text for people: how many of the true events were found, and the paths of the
        results.
    """
    simulator = Simulator(settings)
    movie = directory / MOVIE
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the directory {directory} cannot be created: {error.strerror or error}"
        ) from error
    if not movie.exists():
        write_simulation(settings, movie)
    elif read_truth(movie).settings != settings:
        raise ResultsDifferError(
            f"{movie} was simulated with other settings; choose another output"
            " directory"
        )

    def judge(result: RunResult) -> dict[str, float]:
        return score_recovery(simulator, result)

    result = run_recording(
        movie,
        directory / "run",
        RunSettings.checked(conversion={"loc_in": "data/ch0"}),
        judge=judge,
    )
    scores = score_recovery(simulator, result)
    write_json(directory / SCORE, scores)
    return "\n".join(
        [*(f"{name}: {value:g}" for name, value in scores.items()), result.summary()]
    )


def score_recovery(simulator: Simulator, result: RunResult) -> dict[str, float]:
    """Return name -> score of the events of a run against the known events."""
    found, truth = read_labels(result), align_truth(simulator, result)
    loose, strict = score(truth, found, 0.3), score(truth, found, 0.5)
    scores = {
        "F1 at IoU 0.3": loose.f1,
        "F1 at IoU 0.5": strict.f1,
        "precision at IoU 0.5": strict.precision,
        "recall at IoU 0.5": strict.recall,
        "true events": strict.n_truth,
        "found events": strict.n_found,
    }
    if len(strict.pairs):
        scores["mean IoU of the matched"] = strict.mean_iou
    return {name: round(value, 3) for name, value in scores.items()}


def read_labels(result: RunResult) -> NDArray[Any]:
    """Return the event map of a run, (frame, row, column)."""
    with open_event_map(result.store) as labels:
        return labels.to_array()


def align_truth(simulator: Simulator, result: RunResult) -> NDArray[np.int32]:
    """Return the true labels (frame, row, column), aligned with the corrected movie.

    The corrected movie is aligned with its template, at the median position of the
    frames; the simulated scene is at the position without motion. The median difference
    between true and estimated shifts is the constant offset between the two.
    """
    truth = simulator.labels(0, simulator.shape[0])
    found = read_registration(find_movies(result.directory), "mc/ch0")
    if found is None:
        return truth
    offset = np.rint(np.median(simulator.motion.shifts - found.shifts, axis=0)).astype(
        int
    )
    moved = np.roll(truth, offset, axis=(1, 2))
    # np.roll wraps around: set the voxels that came in at the opposite edge to 0
    for axis, by in zip((1, 2), offset, strict=True):
        edge = [slice(None)] * 3
        edge[axis] = (
            slice(0, by)
            if by > 0
            else slice(moved.shape[axis] + by, None)
            if by < 0
            else slice(0, 0)
        )
        moved[tuple(edge)] = 0
    return moved
