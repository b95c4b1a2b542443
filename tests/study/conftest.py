"""A small study: recordings with known events in two groups."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from astrocast.cli.app import app
from astrocast.simulation import SimulationSettings, write_simulation

SETTINGS = ["--set", "motion.enabled=false"]
#: recording -> (group, subject, events)
RECORDINGS = {
    "one": ("control", "a", 3),
    "two": ("control", "b", 4),
}


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a table and three recordings of 60 frames of 48 x 48 pixels."""
    folder = tmp_path_factory.mktemp("recordings")
    lines = ["recording,group,subject,frame_rate,conversion.loc_in,virus"]
    for i, (name, (group, subject, events)) in enumerate(RECORDINGS.items()):
        settings = SimulationSettings(
            seed=40 + i, frames=60, rows=48, columns=48, events=events, motion=0.0
        )
        write_simulation(settings, folder / f"{name}.h5")
        lines.append(f"{name}.h5,{group},{subject},{4 + i},data/ch0,AAV5")
    (folder / "study.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def study(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two recordings and one that cannot be read."""
    (recordings / "broken.tif").write_bytes(b"no picture")
    table = recordings / "with_broken.csv"
    table.write_text(
        (recordings / "study.csv").read_text() + "broken.tif,drug,d,4,,AAV5\n"
    )
    output = tmp_path_factory.mktemp("study") / "study"
    done = CliRunner().invoke(app, ["batch", str(table), "-o", str(output), *SETTINGS])
    assert done.exit_code == 1, done.output
    assert "2 of 3 recordings are complete; failed: broken" in done.output
    return output
