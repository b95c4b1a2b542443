"""False positive rates are as stated, and simulated effects are recovered."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.study.accuracy import (
    false_positives,
    main,
    run_checks,
    summarise_recovery,
)
from astrocast.study.accuracy_chance import CHANCE_TESTS
from astrocast.study.accuracy_effects import EFFECT_CHECKS


def test_the_interval_of_a_rate_is_exact():
    found = false_positives({"a": [0.01] * 3 + [0.5] * 97, "b": [0.01] * 20 + [1] * 80})
    assert found["rate"].tolist() == [0.03, 0.2]
    # Clopper and Pearson for 3 of 100
    assert found.loc[0, ["low", "high"]].tolist() == pytest.approx(
        [0.0062, 0.0852], abs=1e-4
    )
    assert found["holds"].tolist() == [True, False]


def test_nothing_is_found_where_nothing_is():
    chance = false_positives(run_checks(CHANCE_TESTS, range(100, 106)))
    assert len(chance) == 12
    # up to 6 studies: a test that errs in 5 % lies here in more than 99.9 %
    assert chance["holds"].all(), chance.to_string()


def test_effects_are_found_again():
    found = summarise_recovery(run_checks(EFFECT_CHECKS, range(200, 203)))
    mean = found.set_index("measure")["mean"]
    for name in ("k-means, 3 given", "hierarchical, 3 given"):
        assert mean[f"clusters ({name}): adjusted Rand index"] > 0.7, name
    assert mean["mixed model: difference / truth"] == pytest.approx(1, abs=0.35)
    assert mean["units: adjusted Rand index"] > 0.95
    assert mean["responding regions found (q <= 0.05)"] > 0.8
    assert mean["other regions found (q <= 0.05)"] < 0.2
    assert abs(mean["latency - true 1.5 s"]) < 0.3
    assert mean["found followers that are true"] > 0.8
    assert np.isfinite(mean).all()


def test_the_tables_are_printed(capsys: pytest.CaptureFixture[str]):
    assert main(["--cohorts", "1", "--effects", "1"]) == 0
    shown = capsys.readouterr().out
    assert "t test on animals" in shown
    assert "clusters (HDBSCAN): adjusted Rand index" in shown
