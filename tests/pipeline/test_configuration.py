from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from astrocast.errors import FormatError, InvalidValueError, RecordingNotFoundError
from astrocast.pipeline.configuration import parameter_rows, read, template
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
