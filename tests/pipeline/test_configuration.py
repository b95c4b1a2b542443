from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from astrocast.errors import FormatError, InvalidValueError, RecordingNotFoundError
from astrocast.pipeline.configuration import (
    ParameterRow,
    parameter_rows,
    read,
    template,
)
from astrocast.pipeline.settings import RunSettings
from astrocast.settings.base import Settings, parameter


class Inner(Settings):
    window: int = parameter(10, "Frames of the window.", unit="frames", ge=1)


class Outer(Settings):
    seed: int = parameter(1, "Seed of everything random.")
    stage: Inner = Inner()


def test_defaults_file_and_overrides_win_in_that_order(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("stage:\n  window: 20\nseed: 3\n")
    assert read(Outer, None, []) == Outer()
    assert read(Outer, file, []).stage.window == 20
    both = read(Outer, file, ["stage.window=30"])
    assert (both.stage.window, both.seed) == (30, 3)


def test_the_template_reads_back_as_the_defaults_and_shows_meaning_and_unit() -> None:
    text = template(Outer)
    assert Outer.checked(**yaml.safe_load(text)) == Outer()
    assert "# Frames of the window. [frames]" in text


def test_rows_name_stage_and_parameter() -> None:
    assert [(r.name, r.default, r.unit) for r in parameter_rows(Outer)] == [
        ("seed", 1, None),
        ("stage.window", 10, "frames"),
    ]


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidValueError) as caught:
        read(Outer, None, ["stage.window=0", "stage.widow=3", "seed=x"])
    message = str(caught.value)
    assert "stage.window" in message
    assert "stage.widow" in message
    assert "seed" in message


@pytest.mark.parametrize(
    ("text", "error"),
    [("[1, 2]", FormatError), ("a: [", FormatError), (None, RecordingNotFoundError)],
)
def test_a_file_that_is_no_configuration_is_refused(
    tmp_path: Path, text: str | None, error: type[Exception]
) -> None:
    file = tmp_path / "c.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(error, match=r"c\.yaml"):
        read(Outer, file, [])


@pytest.mark.parametrize(
    "override", ["stage.window", "=3", "stage.=3", "stage.window=["]
)
def test_an_override_that_sets_nothing_is_refused(override: str) -> None:
    with pytest.raises(InvalidValueError, match=r"expected|read"):
        read(Outer, None, [override])


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("# nothing\n")
    assert read(Outer, file, []) == Outer()


DEEP = "a: " + "[" * 3000 + "]" * 3000
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghijklmnopqrstuvwxyz")
)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("stage: {window: 3}\nstage: {window: 4}", "'stage' occurs twice"),
        ("stage: {window: 3, window: 4}", "'window' occurs twice"),
        ("? [1, 2]\n: 3", "is not a name"),
        (DEEP, "nested too deeply"),
        (BOMB, "aliases"),
        ("seed: " + "9" * 5000, "cannot be read"),
        ("x" * 2_000_000, "2000000 characters"),
        ("- a", "expected stages"),
        ("stage: !!python/object:os.system ls", "cannot be read"),
    ],
    ids=[
        "twice",
        "twice inside",
        "no name",
        "deep",
        "bomb",
        "digits",
        "long",
        "list",
        "object",
    ],
)
def test_odd_yaml_is_refused_in_one_sentence(
    tmp_path: Path, text: str, part: str
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises((FormatError, InvalidValueError), match=part) as caught:
        read(Outer, file, [])
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "override",
    ["1: 2", "seed=.nan", "seed=.inf", "seed=1.5", f"seed={10**20}", "seed=-1"],
)
def test_numbers_that_no_parameter_can_be_are_refused(override: str) -> None:
    with pytest.raises(InvalidValueError):
        read(Outer, None, [override])


@pytest.mark.parametrize("row", list(parameter_rows(RunSettings)), ids=lambda r: r.name)
@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1" + "0" * 30])
def test_no_parameter_of_a_run_takes_what_is_not_a_finite_number(
    row: ParameterRow, value: str
) -> None:
    with pytest.raises(InvalidValueError, match=re.escape(row.name.split(".")[-1])):
        read(RunSettings, None, [f"{row.name}={value}"])


@pytest.mark.parametrize(
    "override",
    [
        "conversion.loc_out=mc",
        "conversion.loc_out=df",
        "conversion.loc_out=denoised",
        "conversion.channels={0: df/ch0}",
        "delta.smooth=4",
        "detection.smooth_sigma=1000000",
        "detection.calibration.smooth_sigma=1000000",
    ],
)
def test_what_a_later_stage_would_refuse_is_refused_at_the_door(override: str) -> None:
    with pytest.raises(InvalidValueError):
        read(RunSettings, None, [override])
