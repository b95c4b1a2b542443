"""Groups are compared by animals: effects are recovered, chance gives five percent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from astrocast.analysis.sample_size import (
    Variances,
    animals_needed,
    variance_components,
)
from astrocast.analysis.statistics import compare_groups
from astrocast.errors import DatasetNotFoundError, InvalidValueError
from astrocast.simulation.cohort import CohortSettings, simulate_cohort


def cohort(
    seed: int,
    effect: float = 0.0,
    animals: int = 5,
    recordings: int = 3,
    events: int = 20,
    sd: tuple[float, float, float] = (1.0, 0.5, 2.0),
) -> pd.DataFrame:
    """Two groups; ``sd`` of animals, recordings and events; ``effect`` of the drug."""
    rng = np.random.default_rng(seed)
    rows = []
    for group in ("control", "drug"):
        for a in range(animals):
            animal = rng.normal(10 + effect * (group == "drug"), sd[0])
            for r in range(recordings):
                level = rng.normal(animal, sd[1])
                values = rng.normal(level, sd[2], events)
                label = {"group": group, "subject": f"{group}{a}"}
                rows.append(
                    pd.DataFrame(
                        {"value": values, **label, "recording": f"{group}{a}{r}"}
                    )
                )
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize("method", ["mixed", "animals", "bootstrap"])
def test_an_effect_is_recovered(method: str):
    table = cohort(1, effect=4.0)
    (found,) = compare_groups(table, "value", method=method, resamples=400)
    assert found.low < 4.0 < found.high
    assert found.p < 0.02
    assert (found.counts.animals, found.counts.recordings) == (5, 15)
    assert found.counts.events == 300
    assert "5 animals" in found.sentence()


@pytest.mark.parametrize("method", ["mixed", "animals"])
def test_chance_is_significant_in_five_percent(method: str):
    p = [
        compare_groups(cohort(100 + i, events=6), "value", method=method)[0].p
        for i in range(40)
    ]
    # 40 cohorts: 2 expected, 7 or more by chance in 0.3 %
    assert np.sum(np.array(p) < 0.05) <= 6
    # the naive test on events would be wrong: animals differ
    assert np.median(p) > 0.3


def test_one_animal_is_refused_with_the_reason():
    table = cohort(0, animals=1)
    with pytest.raises(InvalidValueError, match="they cannot replace"):
        compare_groups(table, "value")
    mixed = cohort(0, animals=2)
    mixed.loc[mixed["group"] == "drug", "subject"] = "control0"
    mixed = pd.concat([mixed, cohort(3, animals=2)])
    with pytest.raises(InvalidValueError, match="more than one group"):
        compare_groups(mixed, "value")
    with pytest.raises(DatasetNotFoundError, match="no column 'nothing'"):
        compare_groups(table, "nothing")


def test_all_comparisons_are_corrected_together():
    table = cohort(2, effect=3.0)
    table["other"] = np.random.default_rng(0).normal(size=len(table))
    found = compare_groups(table, ["value", "other"], method="animals")
    by_hand = sorted(c.p for c in found)
    assert min(c.q for c in found) == pytest.approx(min(1, 2 * by_hand[0]))


def test_variances_are_found_again_and_give_the_number_of_animals():
    sd = (1.5, 0.8, 2.0)
    found = [
        variance_components(cohort(i, animals=12, recordings=4, sd=sd))
        for i in range(12)
    ]
    assert np.mean([v.animals for v in found]) == pytest.approx(2.25, rel=0.2)
    assert np.mean([v.recordings for v in found]) == pytest.approx(0.64, rel=0.2)
    assert np.mean([v.events for v in found]) == pytest.approx(4.0, rel=0.05)
    # the textbook: effect of one standard deviation, power 0.8: 17 a group
    assert animals_needed(Variances(4.0, 0.0, 0.0), 2.0) == 17
    more = animals_needed(Variances(4.0, 3.0, 0.0), 2.0, recordings=1)
    assert more > 17


def test_one_recording_of_each_animal_does_not_mislead_the_mixed_model() -> None:
    """One optimiser ran off here: a difference of -0.1 with an error of a million."""
    made = simulate_cohort(
        CohortSettings(seed=4, animals=6, recordings=1, effects={"duration_s": 1.6})
    )
    [found] = compare_groups(made.events, "duration_s", reference="control")
    assert found.difference == pytest.approx(3.5, abs=0.3)
    assert 0 < found.low < found.high < 7
    assert found.p < 0.02
    assert found.method == "linear mixed model"
