"""Responses to stimuli with a known probability and latency."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from astrocast.analysis.stimuli import (
    false_discovery,
    peri_stimulus,
    read_triggers,
    responses_by,
)
from astrocast.errors import DatasetNotFoundError, InvalidValueError

TRIGGERS = np.arange(30.0, 600, 30)


def table(seed: int = 0) -> pd.DataFrame:
    """Region "near" answers 80 % of the triggers after 3 s, "far" none."""
    rng = np.random.default_rng(seed)
    answered = rng.random(len(TRIGGERS)) < 0.8
    near = TRIGGERS[answered] + rng.normal(3, 0.3, answered.sum())
    far = rng.uniform(0, 600, 20)
    return pd.DataFrame(
        {
            "region": ["near"] * len(near) + ["far"] * len(far),
            "onset_s": np.concatenate([near, far]),
        }
    )


def test_probability_and_latency_by_region():
    events = table()
    found = responses_by(
        events, TRIGGERS, by="region", onset="onset_s", duration=600, window=(0, 8)
    ).set_index("region")
    true = (events["region"] == "near").sum() / len(TRIGGERS)
    assert found.loc["near", "probability"] == pytest.approx(true)
    assert found.loc["near", "latency"] == pytest.approx(3, abs=0.2)
    assert found.loc["near", "q"] < 0.01 < found.loc["far", "q"]


def test_the_histogram_peaks_at_the_latency():
    near = table().query("region == 'near'")["onset_s"]
    found = peri_stimulus(near, TRIGGERS, duration=600, before=10, after=10, bins=20)
    centre = found.edges[:-1] + 0.5
    assert centre[found.rate.argmax()] in (2.5, 3.5)
    assert (found.low <= found.rate).all()
    assert (found.rate <= found.high).all()
    assert found.rate.sum() * 1.0 == pytest.approx(len(near) / len(TRIGGERS))


def test_triggers_are_read_from_a_file(tmp_path: Path):
    path = tmp_path / "triggers.csv"
    path.write_text("30\n60\n90\n")
    assert read_triggers(path).tolist() == [30, 60, 90]
    path.write_text("time,voltage\n60,1\n30,2\n")
    assert read_triggers(path, "time").tolist() == [30, 60]
    with pytest.raises(DatasetNotFoundError, match="columns of numbers: time, voltage"):
        read_triggers(path)


def test_triggers_of_another_unit_are_refused():
    with pytest.raises(InvalidValueError, match="frames or seconds"):
        peri_stimulus([1.0], [5000.0], duration=600, before=1, after=1)


def test_correction_is_that_of_the_textbook():
    p = np.array([0.01, 0.04, 0.03, 0.9])
    np.testing.assert_allclose(false_discovery(p), [0.04, 0.16 / 3, 0.16 / 3, 0.9])
