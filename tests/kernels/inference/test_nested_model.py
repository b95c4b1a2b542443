"""The nested model against statsmodels and against closed formulas."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from astrocast.kernels.inference.nested_model import fit_nested_model


def draw(
    seed: int, recordings: int, events: int, sd: tuple[float, float, float]
) -> pd.DataFrame:
    """5 + 4 animals; numbers of events differ between recordings."""
    rng = np.random.default_rng(seed)
    rows = []
    for animal in range(9):
        level = 10 + 3.0 * (animal >= 5) + rng.normal(0, sd[0])
        for number in range(recordings):
            mean = level + rng.normal(0, sd[1])
            values = rng.normal(mean, sd[2], 1 + rng.poisson(events - 1))
            place = (animal, animal * recordings + number, animal >= 5)
            rows += [(value, *place) for value in values]
    return pd.DataFrame(rows, columns=["value", "animal", "recording", "group"])


def fit(table: pd.DataFrame):
    codes = [table[c].to_numpy(np.int64) for c in ("recording", "animal", "group")]
    return fit_nested_model(table["value"].to_numpy(float), *codes)


def by_statsmodels(table: pd.DataFrame):
    from statsmodels.regression.mixed_linear_model import MixedLM

    parts = {"recording": "0 + C(recording)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixedLM.from_formula(
            "value ~ group",
            table.assign(group=table["group"].astype(float)),
            groups="animal",
            re_formula="1",
            vc_formula=parts,
        )
        return model.fit(reml=True)


def dense(table: pd.DataFrame, variances: tuple[float, float, float]):
    """Restricted deviance, difference and error, with matrices of all observations."""
    y = table["value"].to_numpy(float)
    levels = [pd.get_dummies(table[c]).to_numpy(float) for c in ("animal", "recording")]
    v = sum(
        s * z @ z.T for s, z in zip(variances, [*levels, np.eye(len(y))], strict=True)
    )
    x = np.column_stack([np.ones(len(y)), table["group"].astype(float)])
    inverse = np.linalg.inv(v)
    information = x.T @ inverse @ x
    effect = np.linalg.solve(information, x.T @ inverse @ y)
    left = y - x @ effect
    deviance = np.linalg.slogdet(v)[1] + np.linalg.slogdet(information)[1]
    error = np.sqrt(np.linalg.inv(information)[1, 1])
    return deviance + left @ inverse @ left, effect[1], error


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_maximises_the_restricted_likelihood(seed: int):
    table = draw(seed, recordings=3, events=8, sd=(1.0, 0.7, 2.0))
    found = fit(table)
    variances = found[2:]
    best, difference, error = dense(table, variances)
    assert found[:2] == pytest.approx((difference, error), rel=1e-6)
    rng = np.random.default_rng(seed)
    for factors in np.exp(rng.normal(0, 0.3, (10, 3))):
        assert dense(table, np.multiply(variances, factors))[0] > best - 1e-6
    # its optimiser stops before the maximum in two of these three
    theirs = by_statsmodels(table)
    vcomp = (float(theirs.cov_re.iloc[0, 0]), float(theirs.vcomp[0]), theirs.scale)
    assert best <= dense(table, vcomp)[0] + 1e-6


def test_it_is_the_model_of_statsmodels_where_that_converges():
    table = draw(1, recordings=3, events=8, sd=(1.0, 0.7, 2.0))
    ours, theirs = fit(table), by_statsmodels(table)
    assert ours.difference == pytest.approx(theirs.fe_params.iloc[1], rel=1e-4)
    assert ours.error == pytest.approx(theirs.bse_fe.iloc[1], rel=1e-3)
    assert ours.animals == pytest.approx(theirs.cov_re.iloc[0, 0], rel=1e-2)
    assert ours.recordings == pytest.approx(theirs.vcomp[0], rel=1e-2)
    assert ours.residual == pytest.approx(theirs.scale, rel=1e-3)


def test_with_one_value_of_each_animal_it_is_the_t_test():
    table = draw(3, recordings=1, events=1, sd=(1.0, 0.0, 0.5))
    table = table.drop_duplicates("animal")
    found = fit(table)
    a, b = (table.loc[table["group"] == g, "value"] for g in (True, False))
    expected = stats.ttest_ind(a, b)
    assert found.difference / found.error == pytest.approx(expected.statistic)
    assert (found.animals, found.recordings) == (0.0, 0.0)


def test_balanced_animals_give_the_t_test_of_their_means():
    """Between animals beyond what events explain: REML is the analysis of variance."""
    rng = np.random.default_rng(4)
    level = rng.normal(0, 3, 8) + np.repeat([0.0, 2.0], 4)
    values = rng.normal(level[:, None], 1.0, (8, 10))
    animal = np.repeat(np.arange(8), 10)
    found = fit_nested_model(values.ravel(), animal, animal, animal // 4)
    means = values.mean(axis=1)
    expected = stats.ttest_ind(means[4:], means[:4])
    assert found.difference / found.error == pytest.approx(expected.statistic, rel=1e-4)


def test_values_that_do_not_differ_within_recordings_are_no_model():
    animal = np.repeat(np.arange(4), 4)
    recording = np.arange(16) // 2
    values = recording.astype(float)
    assert fit_nested_model(values, recording, animal, animal // 2) is None
    assert fit_nested_model(np.ones(16), recording, animal, animal // 2) is None


def test_units_do_not_matter():
    table = draw(5, recordings=2, events=6, sd=(1.0, 0.5, 1.0))
    one = fit(table)
    large = fit(table.assign(value=1e6 * table["value"]))
    assert large.difference == pytest.approx(1e6 * one.difference, rel=1e-6)
    assert large.error == pytest.approx(1e6 * one.error, rel=1e-5)
