"""Recovery of the known effects of simulated studies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from astrocast.analysis.clusters import Method, cluster_features, feature_matrix
from astrocast.analysis.networks import find_propagation, measure_synchrony
from astrocast.analysis.statistics import compare_groups
from astrocast.analysis.stimuli import responses_by
from astrocast.analysis.units import Units, find_units, unit_groups
from astrocast.settings.simulation_cohort import CohortSettings
from astrocast.simulation.cohort import MEANS, SimulatedCohort, simulate_cohort
from astrocast.study.accuracy_chance import METHODS, VALUES, one_recording

#: in the treated group, each value is multiplied by this factor
FACTOR = 1.5


def recover_effects(seed: int) -> dict[str, list[float]]:
    """Return, for groups that differ, whether tests and intervals are correct.

    The true difference of a value is (`FACTOR` - 1) x its mean in the control group.
    """
    effects: dict[Any, float] = dict.fromkeys(VALUES, FACTOR)
    made = simulate_cohort(CohortSettings(seed=seed, effects=effects))
    found: dict[str, list[float]] = {}
    for method, name in METHODS.items():
        several = compare_groups(made.events, VALUES, method=method, resamples=500)
        truth = [MEANS[c.value] * (FACTOR - 1) for c in several]
        covered = [
            float(c.low <= t <= c.high) for c, t in zip(several, truth, strict=True)
        ]
        ratio = [c.difference / t for c, t in zip(several, truth, strict=True)]
        found[f"{name}: p <= 0.05"] = [float(c.p <= 0.05) for c in several]
        found[f"{name}: 95 % interval contains the truth"] = covered
        found[f"{name}: difference / truth"] = ratio
    return found


def recover_classes(seed: int) -> dict[str, list[float]]:
    """Return the agreement of clusters with the true classes of events."""
    from sklearn.metrics import adjusted_rand_score

    made = simulate_cohort(one_recording(seed, classes=3, animal_sd=0.0, unit_sd=0.1))
    matrix = feature_matrix(made.events, VALUES)
    truth = made.events.loc[matrix.index, "event_class"].tolist()
    found = {}
    tried: tuple[tuple[Method, int | None, str], ...] = (
        ("kmeans", 3, "k-means, 3 given"),
        ("kmeans", None, "k-means, number by silhouette"),
        ("hierarchical", 3, "hierarchical, 3 given"),
        ("hdbscan", None, "HDBSCAN"),
    )
    for method, number, name in tried:
        labels = cluster_features(matrix.values, method, clusters=number, seed=seed)
        score = float(adjusted_rand_score(truth, labels.tolist()))
        found[f"clusters ({name}): adjusted Rand index"] = [score]
    return found


def recover_units(seed: int) -> dict[str, list[float]]:
    """Return how well units, their followers and their delays are recovered."""
    from sklearn.metrics import adjusted_rand_score

    made = simulate_cohort(one_recording(seed, rate=1.0))
    table = made.events.assign(mask=made.masks(made.recordings["recording"].iloc[0]))
    s = made.settings
    units = find_units(table, (s.frames, s.rows, s.columns), overlap=0.3)
    score = float(adjusted_rand_score(made.events["unit"], units.labels))
    centres = table.assign(
        unit=units.labels,
        cx=units.table["row"].to_numpy()[units.labels],
        cy=units.table["column"].to_numpy()[units.labels],
    )
    options: dict[str, Any] = {"surrogates": 199, "seed": seed}
    together = measure_synchrony(centres, s.frames, **options)
    onward = find_propagation(centres, s.frames, lag=(1, 10), reach=400, **options)
    return {
        "units: adjusted Rand index": [score],
        **_recover_followers(made, units),
        "synchrony: p <= 0.05": [float(together.p <= 0.05)],
        "propagation: p <= 0.05": [float(onward.test.p <= 0.05)],
    }


def _recover_followers(made: SimulatedCohort, units: Units) -> dict[str, list[float]]:
    """Return recall and precision of followers, errors of delays, shared groups.

    A true unit is compared with the detected unit that contains most of its events.
    """
    pairs = units.dependence((1, 10))
    by_unit = units.labels.groupby(made.events["unit"]).agg(lambda v: v.mode().iloc[0])
    names = dict(zip(by_unit.index.tolist(), by_unit.tolist(), strict=True))
    following = made.units[made.units["leader"] >= 0]
    columns = (following[c].tolist() for c in ("leader", "unit", "delay"))
    true = {
        (names[leader], names[unit]): delay
        for leader, unit, delay in zip(*columns, strict=True)
        if leader in names and unit in names
    }
    significant = pairs[pairs["q"] <= 0.05]
    found = dict(
        zip(
            zip(significant["first"], significant["then"], strict=True),
            significant["delay"],
            strict=True,
        )
    )
    right = set(true) & set(found)
    errors = [float(abs(found[p] - true[p])) for p in right]
    group, _ = unit_groups(pairs, len(units))
    together = [group[a] == group[b] >= 0 for a, b in true]
    return {
        "followers found (q <= 0.05)": [len(right) / len(true)],
        "found followers that are true": [len(right) / max(len(found), 1)],
        "delay of followers: error (frames)": errors,
        "follower and leader in one group": [float(np.mean(together))],
    }


def recover_responses(seed: int) -> dict[str, list[float]]:
    """Return how well responding regions, their probability and latency are found.

    There are no followers: a unit that follows a responding unit would respond, too.
    """
    made = simulate_cohort(one_recording(seed, stimulus_interval=30.0, followers=0.0))
    s = made.settings
    found = responses_by(
        made.events,
        made.triggers,
        by="region",
        onset="onset_s",
        duration=s.frames / s.frame_rate,
        window=(0, 3),
        surrogates=199,
        seed=seed,
    ).set_index("region")
    answers = pd.Series(made.units.groupby("region")["responds"].first())
    truth = answers.reindex(found.index).to_numpy(bool)
    responds = (found["q"] <= 0.05).to_numpy()
    probability = found.loc[truth, "probability"]
    latency = found.loc[truth, "latency"]
    return {
        "responding regions found (q <= 0.05)": [float(responds[truth].mean())],
        "other regions found (q <= 0.05)": [float(responds[~truth].mean())],
        "response probability - true 0.6": [float(probability.mean() - 0.6)],
        "latency - true 1.5 s": [float(latency.mean() - s.latency)],
    }


#: all checks with effects
EFFECT_CHECKS = (recover_effects, recover_classes, recover_units, recover_responses)
