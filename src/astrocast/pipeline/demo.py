"""The main job on a simulated recording, and how well its known events were found."""

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

#: large enough to show every stage at work, small enough for a minute
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

    With motion, bleaching and noise.

    Parameters
    ----------
    directory
        Receives ``simulated.h5``, ``score.json`` and the run in ``run/``; what is
        complete there is reused.
    settings
        The recording to simulate.

    Returns
    -------
    str
        What a person wants to know: how many of the true events were found, and where
        to look.
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
            f"{movie} is another simulation; choose another output directory"
        )

    def judge(result: RunResult) -> dict[str, float]:
        return recovery(simulator, result)

    result = run_recording(
        movie,
        directory / "run",
        RunSettings.checked(conversion={"loc_in": "data/ch0"}),
        judge=judge,
    )
    scores = recovery(simulator, result)
    write_json(directory / SCORE, scores)
    return "\n".join(
        [*(f"{name}: {value:g}" for name, value in scores.items()), result.summary()]
    )


def recovery(simulator: Simulator, result: RunResult) -> dict[str, float]:
    """Return how well the known events of a simulation were found by a run."""
    found, truth = found_events(result), truth_as_seen(simulator, result)
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


def found_events(result: RunResult) -> NDArray[Any]:
    """Return the label volume of a run."""
    with open_event_map(result.store) as labels:
        return labels.to_array()


def truth_as_seen(simulator: Simulator, result: RunResult) -> NDArray[np.int32]:
    """Return the true labels in the geometry of the corrected movie.

    A corrected movie rests where its template rests, which is where most frames were,
    not where the simulated scene is without motion: the constant between true and
    estimated shifts.
    """
    truth = simulator.labels(0, simulator.shape[0])
    found = read_registration(find_movies(result.directory), "mc/ch0")
    if found is None:
        return truth
    offset = np.rint(np.median(simulator.motion.shifts - found.shifts, axis=0)).astype(
        int
    )
    moved = np.roll(truth, offset, axis=(1, 2))
    # what rolled round the edge was never in view
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
