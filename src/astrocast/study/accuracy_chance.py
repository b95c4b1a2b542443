"""p values from simulated studies without effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from astrocast.analysis.classification import classify
from astrocast.analysis.clusters import feature_matrix
from astrocast.analysis.networks import find_propagation, measure_synchrony
from astrocast.analysis.statistics import Method, compare_groups
from astrocast.analysis.stimuli import peri_stimulus, responses_by
from astrocast.kernels.point_process.trains import train_dependence
from astrocast.settings.simulation_cohort import CohortSettings
from astrocast.simulation.cohort import SimulatedCohort, simulate_cohort

#: columns of the event table that are compared
VALUES = ("peak_dff", "duration_s", "area_um2")
METHODS: dict[Method, str] = {
    "animals": "t test on animals",
    "mixed": "mixed model",
    "bootstrap": "permutation of animals",
}
#: number of surrogates of each test: p = 0.05 is then a possible value
SURROGATES = 199


def compare_equal_groups(
    seed: int, methods: Sequence[Method] = tuple(METHODS)
) -> dict[str, list[float]]:
    """Return p values of groups that do not differ, for each method.

    For the bootstrap also whether its interval contains 0, as a number that is counted
    like p: 0 if it does not contain 0 (a false positive), 1 if it does.
    """
    made = simulate_cohort(CohortSettings(seed=seed))
    rates = made.recordings.assign(rate=made.recordings["events"])
    found: dict[str, list[float]] = {}
    for method in methods:
        several = [
            *compare_groups(rates, "rate", method=method, resamples=500),
            *compare_groups(made.events, VALUES, method=method, resamples=500),
        ]
        found[METHODS[method]] = [c.p for c in several]
        if method == "bootstrap":
            covered = [float(c.low <= 0 <= c.high) for c in several]
            found["interval of the bootstrap without 0"] = covered
    return found


def relate_independent_units(seed: int) -> dict[str, list[float]]:
    """Return p values of units that do not follow each other, and of recordings."""
    made = simulate_cohort(one_recording(seed, followers=0.0))
    frames = made.settings.frames
    table = _add_centres(made)
    trains = [
        np.sort(events["z0"].to_numpy(np.int64)) for _, events in table.groupby("unit")
    ]
    found = train_dependence([t for t in trains if len(t) >= 3], frames, (1, 10))
    tested = np.isfinite(found["p"])
    together = measure_synchrony(table, frames, surrogates=SURROGATES, seed=seed)
    onward = find_propagation(
        table, frames, reach=120.0, surrogates=SURROGATES, seed=seed
    )
    return {
        "pair of units follows": found["p"][tested].tolist(),
        "any pair of a recording, corrected": [float(found["q"][tested].min())],
        "synchrony": [together.p],
        "propagation": [onward.test.p],
    }


def align_to_unanswered_stimuli(seed: int) -> dict[str, list[float]]:
    """Return p values of responses to stimuli to which nothing responds."""
    made = simulate_cohort(one_recording(seed, responders=0.0, stimulus_interval=30.0))
    length = made.settings.frames / made.settings.frame_rate
    options: dict[str, Any] = {"duration": length, "surrogates": SURROGATES}
    whole = peri_stimulus(
        made.events["onset_s"], made.triggers, before=0, after=3, seed=seed, **options
    )
    regions = responses_by(
        made.events,
        made.triggers,
        by="region",
        onset="onset_s",
        window=(0, 3),
        seed=seed,
        **options,
    )
    return {
        "response to stimuli": [whole.p],
        "response of a region": regions["p"].tolist(),
        "any region of a recording, corrected": [float(regions["q"].min())],
    }


def classify_equal_groups(seed: int) -> dict[str, list[float]]:
    """Return the p value of a classifier of groups that do not differ."""
    made = simulate_cohort(
        CohortSettings(seed=seed, animals=5, recordings=1, frames=1000, regions=4)
    )
    matrix = feature_matrix(made.events, VALUES)
    events = made.events.loc[matrix.index]
    found = classify(
        matrix,
        events["group"].to_numpy(),
        events["subject"].to_numpy(),
        permutations=19,
        seed=seed,
    )
    return {"classifier": [found.p]}


def one_recording(seed: int, **settings: Any) -> CohortSettings:
    """Return the settings of a study of one recording of one animal."""
    values: dict[str, Any] = {"groups": ("control",), "animals": 1, "recordings": 1}
    one: CohortSettings = CohortSettings.checked(seed=seed, **values, **settings)
    return one


def _add_centres(made: SimulatedCohort) -> pd.DataFrame:
    """Return the events of one recording with the centres of their units."""
    place = made.units.set_index("unit")[["row", "column"]]
    return made.events.assign(
        cx=made.events["unit"].map(place["row"]),
        cy=made.events["unit"].map(place["column"]),
    )


#: all checks without effects
CHANCE_TESTS = (
    compare_equal_groups,
    relate_independent_units,
    align_to_unanswered_stimuli,
    classify_equal_groups,
)
