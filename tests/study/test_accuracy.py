"""Groups that do not differ are told apart rarely, groups that differ nearly always."""

from __future__ import annotations

import pytest

from astrocast.study.accuracy import main, share_of_small_p


def test_chance_and_effect_over_simulated_studies(capsys: pytest.CaptureFixture[str]):
    chance = share_of_small_p(10, first_seed=100)
    # 40 tests: 2 expected, 8 or more by chance in less than 0.1 %
    assert sum(chance.values()) * 10 < 8
    effect = share_of_small_p(4, effect=2.0, first_seed=200)
    assert min(effect.values()) >= 0.5
    assert main(["--cohorts", "1"]) == 0
    assert "effect x2, 1 studies" in capsys.readouterr().out
