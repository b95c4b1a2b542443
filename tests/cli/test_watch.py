"""The command that analyses a recording while it is recorded."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time

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


def wait_for(process, file, done, seconds=120.0):
    """Wait until the state in a file is as wanted; the process runs meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            state = {}
        if state and done(state):
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"waited in vain; the state is {state}")


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a process")
def test_ctrl_c_ends_the_recording_and_a_second_one_can_be_made_good(tmp_path):
    """The first Ctrl-C is the end of the recording: the full analysis starts.

    The second one leaves it; the same command goes on with it.
    """
    movie = np.random.default_rng(0).poisson(100, (90, 24, 24))
    path, out = tmp_path / "a.raw", tmp_path / "out"
    path.write_bytes(movie.astype("<u2").tobytes())
    words = ["watch", str(path), "-o", str(out), "--frame-rate", "20", "--json"]
    words += ["--rows", "24", "--columns", "24", "--idle", "1000", "--learn", "64"]
    words += ["--poll", "0.02", "--memory", "16"]
    command = [sys.executable, "-m", "astrocast", *words]
    state = out / "live" / "state.json"

    def begin():
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    first = begin()
    wait_for(first, state, lambda s: s.get("frames") == 90 and s.get("done", 0) > 60)
    first.send_signal(signal.SIGINT)
    wait_for(first, state, lambda s: s["status"] == "analysing")
    wait_for(first, out / "run.json", bool)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=120)
    if first.returncode != 0:  # else the analysis was over before the signal came
        assert first.returncode == 130
        assert "press Ctrl-C again to quit without the full analysis" in said
        assert "run the same command again to continue" in said
        assert "Traceback" not in said
        assert not (out / "live" / "agreement.json").exists()
    second = begin()
    found, said = second.communicate(timeout=240)
    if first.returncode == 0:
        assert second.returncode != 0
        return
    assert second.returncode == 0, said
    assert "the full analysis continues" in said
    result = json.loads(found)
    assert result["live"]["status"] == "complete"
    assert result["live"]["frames"] == 90
    assert result["agreement"]["f1"] >= 0
    assert (out / "report.html").is_file()


@pytest.mark.parametrize("dtype", [">u2", "<i2", "<f4", "|u1"])
def test_a_raw_file_is_read_as_it_is_laid_out(tmp_path, capsys, dtype):
    movie = np.random.default_rng(1).integers(60, 110, (70, 16, 20))
    movie[40] = 0  # a black frame, found only where bytes and shape are read rightly
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(6) + movie.astype(dtype).tobytes() + bytes(3))
    words = ["watch", str(path), "-o", str(tmp_path / "out"), "--frame-rate", "20"]
    words += ["--rows", "16", "--columns", "20", "--dtype", dtype, "--header", "6"]
    words += ["--idle", "0.1", "--poll", "0.01", "--no-analyse", "--memory", "16"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["live"]["done"] == 70
    table = (tmp_path / "out" / "live" / "frames.csv").read_text(encoding="utf-8")
    black = [row for row in table.splitlines() if ",black," in row]
    assert [row.split(",")[0] for row in black] == ["40"]
