"""The command that analyses a recording while it is recorded."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from astrocast.cli.app import main


@pytest.fixture(autouse=True)
def restore_logging():
    yield
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])


def test_a_short_recording_is_watched_to_its_end(tmp_path, capsys):
    movie = np.random.default_rng(0).integers(90, 110, (70, 16, 16))
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(8) + movie.astype("<u2").tobytes())
    words = ["watch", str(path), "-o", str(tmp_path / "out"), "--frame-rate", "20"]
    words += ["--rows", "16", "--columns", "16", "--header", "8", "--json"]
    words += ["--idle", "0.1", "--poll", "0.01", "--no-analyse", "--memory", "16"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["live"]["status"] == "complete"
    assert found["live"]["done"] == found["live"]["frames"] == 70
    assert found["agreement"] is None
    assert (tmp_path / "out" / "live" / "events.csv").is_file()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["a.h5"], "cannot be read while"),
        (["a.raw"], "--rows"),
        (["a.raw", "--rows", "4"], "--columns"),
        (["a.tif", "--learn", "100"], "learn"),
        (["a.tif", "--set", "conversion.rescale=0.5"], "conversion.rescale"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, capsys, monkeypatch, words, part):
    monkeypatch.chdir(tmp_path)
    assert main(["watch", *words]) == 2
    assert part in capsys.readouterr().err
