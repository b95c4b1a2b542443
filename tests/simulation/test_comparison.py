"""The benchmark measures what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from astrocast.simulation import simulate
from astrocast.simulation.comparison import (
    PlainThreshold,
    calibrated,
    confidence_table,
    format_row,
    highest_confidences,
    main,
    measure,
    recording_settings,
    run,
)

SHAPE = (120, 64, 64)


@pytest.mark.parametrize("kind", ["static", "travelling"])
def test_the_truth_itself_scores_perfectly(kind: str) -> None:
    made = simulate(recording_settings(kind, 4.0, 1, SHAPE))
    values = measure(made, made.labels)
    assert values["f1_05"] == values["iou"] == 1
    assert values["amplitude"] == values["duration"] == values["false_events"] == 0
    if kind == "travelling":
        assert values["speed"] < 0.15


def test_errors_have_the_right_sign() -> None:
    made = simulate(recording_settings("static", 4.0, 2, SHAPE))
    larger = ndimage.grey_dilation(made.labels, (3, 1, 1))
    values = measure(made, larger)
    assert values["duration"] == pytest.approx(2, abs=0.5)
    assert values["amplitude"] < 0


def test_both_methods_find_what_is_easy_and_the_empty_recording_is_empty() -> None:
    rows = list(
        run(
            {"calibrated": calibrated, "plain": PlainThreshold()},
            ["static", "none"],
            [4.0],
            [3],
            SHAPE,
        )
    )
    by = {(row.method, row.kind): row.values for row in rows}
    assert by["calibrated", "static"]["f1_05"] == 1
    assert by["plain", "static"]["f1_03"] > 0
    assert by["calibrated", "none"]["false_events"] == 0
    assert all(row.method in format_row(row) for row in rows)


def test_the_command_prints_a_table_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "astrocast.simulation.comparison.run.__defaults__",
        (*run.__defaults__[:-1], (40, 48, 48)),
    )
    assert (
        main(
            [
                "--kinds",
                "none",
                "--snr",
                "4",
                "--seeds",
                "1",
                "--empty",
                "0",
                "--json",
                str(tmp_path / "table.json"),
            ]
        )
        == 0
    )
    assert "none" in capsys.readouterr().out
    assert {
        row["method"] for row in json.loads((tmp_path / "table.json").read_text())
    } == {"calibrated", "plain"}


def test_the_plain_method_removes_what_is_small() -> None:
    heights = np.zeros((5, 9, 9), np.float32)
    heights[1:4, 1:5, 1:5] = 9
    heights[2, 7, 7] = 9
    assert PlainThreshold(size=10).label(heights).max() > 0
    assert PlainThreshold(size=10).label(heights)[2, 7, 7] == 0


def test_noise_reaches_a_confidence_as_often_as_it_says() -> None:
    """The highest maximum of each of twelve empty recordings: confidence is uniform, so
    its mean is near a half.
    """
    found = highest_confidences(range(100, 112), 10.0, (200, 64, 64))
    assert 0.25 < found.mean() < 0.75
    assert (found >= 0.99).sum() <= 2


def test_the_table_of_confidence_counts_recordings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "astrocast.simulation.comparison.highest_confidences",
        lambda seeds, light: np.linspace(0, 1, len(seeds)),
    )
    lines = list(confidence_table(101, [4.0]))
    assert lines[-1].split()[1:] == [
        "0.802",
        "0.505",
        "0.208",
        "0.109",
        "0.059",
        "0.020",
    ]
