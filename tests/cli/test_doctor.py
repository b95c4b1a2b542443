"""``astrocast doctor`` names what is installed and how to get the rest."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from astrocast import __version__
from astrocast.cli.app import app
from astrocast.runtime import doctor


def test_it_names_the_version_and_the_extras(tmp_path: Path):
    done = CliRunner().invoke(app, ["doctor", "--folder", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    states = {f["topic"]: f["state"] for f in json.loads(done.output)}
    assert states["astrocast"] == __version__
    assert states["numpy"] == importlib.metadata.version("numpy")
    assert states["extra cluster"] == "installed"
    assert "GB free in" in states["disk"]
    assert not list(tmp_path.iterdir())


def test_a_missing_package_comes_with_the_command(monkeypatch: pytest.MonkeyPatch):
    there = doctor._is_installed
    monkeypatch.setattr(doctor, "_is_installed", lambda n: n != "nd2" and there(n))
    (formats,) = [f for f in doctor._extras() if f.topic == "extra formats"]
    assert formats.state == "not installed (nd2)"
    assert formats.advice == "pip install 'astrocast[formats]'"


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path):
    finding = doctor._disk(tmp_path / "absent")
    assert "cannot be written to" in finding.state
    assert finding.advice
