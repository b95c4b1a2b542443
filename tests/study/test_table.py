"""A table of recordings is checked as a whole, and names are unique."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from astrocast.errors import (
    InvalidValueError,
    OutputExistsError,
    RecordingNotFoundError,
)
from astrocast.study.table import (
    StudyRow,
    find_recordings,
    name_rows,
    read_table,
    write_template,
)

PARAMETERS = ["frame_rate", "delta.window", "motion.enabled"]


def recording(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.zeros((3, 4, 4), np.uint16))
    return path


def test_a_row_carries_labels_and_parameters(tmp_path: Path):
    recording(tmp_path / "a.npy")
    table = tmp_path / "study.csv"
    table.write_text(
        "\ufeffrecording,group,subject,frame_rate,delta.window,virus\n"
        "a.npy,control,m1,5,20,AAV5\n",
        encoding="utf-8",
    )
    (row,) = read_table(table, PARAMETERS)
    assert row.name == "a"
    assert row.labels == {"group": "control", "subject": "m1", "virus": "AAV5"}
    assert row.overrides == ("frame_rate=5", "delta.window=20")


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path):
    recording(tmp_path / "a.npy")
    table = tmp_path / "study.csv"
    table.write_text("recording,delta.windw,group,group\na.npy,1,x,y\n")
    with pytest.raises(InvalidValueError) as error:
        read_table(table, PARAMETERS)
    assert "did you mean delta.window?" in str(error.value)
    assert "group occur more than once" in str(error.value)
    table.write_text("recording,frame_rate\nb.npy,5\na.npy,-2\n,3\na.npy,1,2\n")
    with pytest.raises(InvalidValueError) as error:
        read_table(table, PARAMETERS)
    for part in (
        "no",
        "line 3: frame_rate is '-2'",
        "line 4: the recording is missing",
        "more cells",
    ):
        assert part in str(error.value)


def test_recordings_with_one_name_get_the_names_of_their_folders(tmp_path: Path):
    paths = [recording(tmp_path / day / "m1.npy") for day in ("monday", "tuesday")]
    rows = name_rows([StudyRow(p, "") for p in paths])
    assert [r.name for r in rows] == ["monday-m1", "tuesday-m1"]
    with pytest.raises(InvalidValueError, match="have the name m1"):
        name_rows([StudyRow(paths[0], "m1"), StudyRow(paths[1], "m1")])
    with pytest.raises(InvalidValueError, match="name of a folder"):
        name_rows([StudyRow(paths[0], "../out")])


def test_a_folder_becomes_a_table_to_fill_in(tmp_path: Path):
    recording(tmp_path / "data" / "a.npy")
    recording(tmp_path / "data" / "b.npy")
    (tmp_path / "data" / "notes.txt").write_text("none of ours")
    table = tmp_path / "study.csv"
    write_template(table, find_recordings(str(tmp_path / "data")), overwrite=False)
    assert [r.name for r in read_table(table, PARAMETERS)] == ["a", "b"]
    with pytest.raises(OutputExistsError):
        write_template(table, [], overwrite=False)
    found = find_recordings(str(tmp_path / "data" / "a*.npy"))
    assert [p.name for p in found] == ["a.npy"]
    with pytest.raises(RecordingNotFoundError, match="no recording was found"):
        find_recordings(str(tmp_path / "nothing"))
