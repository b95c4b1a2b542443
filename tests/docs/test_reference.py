"""The reference names the files, columns and commands that exist."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType

import h5py
import pandas as pd
import pytest

from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.simulation import SimulationSettings, write_simulation

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def generated() -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS / "_ext"))
    yield importlib.import_module("generated_pages")
    sys.path.remove(str(DOCS / "_ext"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    settings = SimulationSettings(
        seed=3, frames=60, rows=48, columns=48, events=2, motion=0.5, border=2.0
    )
    write_simulation(settings, folder / "movie.h5")
    chosen = RunSettings.checked(conversion={"offset": settings.offset})
    return run_recording(
        folder / "movie.h5", folder / "movie.astrocast", chosen
    ).directory


def named_in(heading: str) -> list[str]:
    """Patterns of the first column of the table below a heading of files.md."""
    text = (DOCS / "reference" / "files.md").read_text("utf-8")
    section = text.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    first = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    names = [name for cell in first for name in re.findall(r"`([^`]+)`", cell)]
    return [n.replace("chN", "ch?").replace("GROUP", "*").rstrip("/") for n in names]


def test_every_file_of_a_run_is_described(run: Path) -> None:
    patterns = named_in("A run directory")
    for path in run.iterdir():
        assert any(fnmatch(path.name, p) for p in patterns), path.name


def test_every_file_of_an_event_store_is_described(run: Path) -> None:
    patterns = named_in("An event store")
    for path in (run / "recording.ch0.roi").iterdir():
        assert any(fnmatch(path.name, p) for p in patterns), path.name


def test_every_dataset_is_described(run: Path) -> None:
    patterns = named_in("`recording.h5`")
    names: list[str] = []
    with h5py.File(run / "recording.h5") as file:
        file.visititems(
            lambda name, item: (
                names.append(name) if isinstance(item, h5py.Dataset) else None
            )
        )
    assert "df/ch0" in names
    for name in names:
        assert any(fnmatch(name, p) for p in patterns), name


def test_every_column_is_described(run: Path, generated: ModuleType) -> None:
    page = generated.columns_page()
    store = run / "recording.ch0.roi"
    columns = set(pd.read_csv(store / "events.csv", index_col=0).columns)
    columns |= {
        c["name"] for c in json.loads((store / "events.columns.json").read_text())
    }
    missing = [c for c in sorted(columns) if f"`{c}`" not in page]
    assert not missing


def test_every_command_and_parameter_is_described(generated: ModuleType) -> None:
    commands = generated.commands_page()
    for name in ("run", "analyze groups", "analyze cells", "doctor", "export"):
        assert f"## astrocast {name}" in commands, name
    parameters = generated.parameters_page()
    assert "| `false_events` ([picture](knobs.md#false_events)) |" in parameters


def test_every_parameter_of_the_calibrated_detection_has_a_picture(
    generated: ModuleType,
) -> None:
    from astrocast.settings.calibrated import CalibratedSettings

    page = generated.knobs_page()
    without = [
        n for n in CalibratedSettings.model_fields if f"knobs/{n}.png" not in page
    ]
    assert not without, "draw it: python docs/figures/make_knobs.py NAME"
