"""The benchmark counts known events, and caches the recordings that it renders."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from astrocast.errors import InvalidValueError
from astrocast.io.writing.files import Replacement
from astrocast.simulation import SimulationSettings, Simulator, cases
from astrocast.simulation.benchmark import (
    Row,
    choose_rows,
    default_rows,
    format_row,
    main,
    reliability_lines,
)
from astrocast.simulation.cases import judge_case, move_voxels, prepare_case
from astrocast.simulation.judging import judge_events

SMALL = SimulationSettings.preset(
    "somata",
    8.0,
    seed=4,
    frames=100,
    rows=80,
    columns=80,
    counts={"soma": 1, "branch": 2},
    motion=2.0,
    motion_step=0.2,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def case(cache):
    return prepare_case(SMALL, cache)


def test_clear_events_of_a_moving_recording_are_found(case):
    judged = judge_case(case)
    assert judged.fate == ("found",) * 3
    assert judged.count("false") == 0
    assert sorted(judged.kinds) == ["branch", "branch", "soma"]
    assert (judged.confidence > 0.9).all()


def test_the_truth_is_moved_to_where_the_registered_movie_rests(case):
    plan = Simulator(SMALL)
    voxels, table = case.truth()
    assert len(voxels) == len(table) == 3
    with cases.open_recording(case.recording, "mc/ch0") as movie:
        registered = movie.to_array().astype(float)
    for own, row in zip(voxels, table.itertuples(), strict=True):
        _, y, x = np.unravel_index(own, SMALL.shape)
        now = registered[row.peak, y, x].mean()
        before = registered[row.z0 - 8 : row.z0 - 3, y, x].mean()
        # most of the mean height of the clean event is seen there
        shown = np.unique(plan.voxels[row.event - 1] % (80 * 80))
        clean = plan.clean(row.peak, row.peak + 1).reshape(-1)[shown].mean()
        assert now - before > 0.8 * clean


def test_a_case_is_rendered_once(case, cache, monkeypatch):
    monkeypatch.setattr(cases, "_make", lambda *_: pytest.fail("rendered again"))
    assert prepare_case(SMALL, cache) == case
    assert list(cache.iterdir()) == [case.folder]


def test_an_interrupted_case_leaves_nothing(tmp_path, monkeypatch):
    def fails(settings, folder):
        raise RuntimeError("interrupted")

    monkeypatch.setattr(cases, "_make", fails)
    with pytest.raises(RuntimeError, match="interrupted"):
        prepare_case(SMALL, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed(tmp_path, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    running = Replacement(tmp_path / "case").beside
    killed = running.with_name(
        running.name.replace(f"-{os.getpid()}-", f"-{process.pid}-")
    )
    running.mkdir()
    killed.mkdir()
    (killed / "recording.h5").write_bytes(b"half")
    monkeypatch.setattr(
        cases, "_make", lambda _, folder: (folder / cases.EVENTS).touch()
    )
    made = prepare_case(SMALL, tmp_path)
    assert set(tmp_path.iterdir()) == {made.folder, running}


def test_a_full_cache_loses_the_oldest_case(tmp_path, monkeypatch):
    for k in range(3):
        folder = tmp_path / f"case{k}"
        folder.mkdir()
        (folder / "recording.h5").write_bytes(b"0" * 100)
        cases.os.utime(folder, (k, k))
    monkeypatch.setattr(cases, "LARGEST_CACHE", 250)
    cases._remove_oldest(tmp_path, tmp_path / "case2")
    assert {p.name for p in tmp_path.iterdir()} == {"case1", "case2"}


def test_voxels_move_and_leave_the_border_out():
    voxels = np.array([0, 11, 24], np.int64)  # (0, 0, 0), (0, 2, 1), (0, 4, 4)
    moved = move_voxels(voxels, (1, 5, 5), np.array([1, 0]), (0, 1, 0, 0))
    assert moved.tolist() == [5, 16]


def test_rows_are_chosen_by_name_pattern_and_snr():
    assert choose_rows(["waves"], None) == [("waves", 2.0)]
    assert choose_rows(["mixed"], [2.0]) == [("mixed", 2.0)]
    assert [snr for _, snr in choose_rows(["mixed"], None)] == [1.0, 2.0, 4.0]
    empty = choose_rows(["event_free_*"], None)
    assert ("event_free_z_drift", 2.0) in empty
    assert set(empty) <= set(default_rows())
    with pytest.raises(InvalidValueError, match="mixed"):
        choose_rows(["waaves"], None)


def test_the_printed_row_has_the_numbers_of_its_judgements():
    judged = judge_events(
        [[1, 2], [5, 6], [8]], [[1, 2], [50]], ["wave", "wave", "soma"], np.ones(2)
    )
    row = Row("mixed", 2.0, (1,), (judged,), 10_000_000)
    assert row.to_dict()["f1"] == pytest.approx(0.4)
    first, second = format_row(row)
    assert first.split()[2:5] == ["0.40", "0.50", "0.33"]
    assert first.endswith(">= 0.85")
    assert "wave 1/2, soma 0/1" in second
    nothing = judge_events([], [[3], [9]], (), np.array([0.2, 0.9]))
    empty = Row("event_free_vessel", 2.0, (1,), (nothing,), 10_000_000)
    assert "4.0 false" in format_row(empty)[0]
    assert len(reliability_lines([row, empty])) == 4


def test_the_command_prints_rows_and_keeps_them(cache, tmp_path, capsys, monkeypatch):
    small = {"frames": 60, "rows": 64, "columns": 64}
    monkeypatch.setattr(
        "astrocast.simulation.benchmark._parse_changes",
        lambda given: {"simulation": small, "min_size": 5},
    )
    target = tmp_path / "rows.json"
    arguments = ["--only", "event_free_noise", "--seeds", "1", "--cache", str(cache)]
    assert main([*arguments, "--json", str(target)]) == 0
    assert "event_free_noise" in capsys.readouterr().out
    (row,) = json.loads(target.read_text())
    assert row["seeds"] == [3100]
    assert row["false"] == 0


def test_the_command_lists_rows_and_says_what_is_wrong(capsys):
    assert main(["--list", "--only", "event_free_a*"]) == 0
    assert "event_free_averaging" in capsys.readouterr().out
    assert main(["--only", "nothing"]) == 1
    assert "choose from" in capsys.readouterr().out
    assert main(["--set", "extend=0.2"]) == 1
    assert "extent" in capsys.readouterr().out
    assert main(["--set", "extent=low"]) == 1
    assert "not JSON" in capsys.readouterr().out
