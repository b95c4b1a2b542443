"""Names of groups, animals and recordings are text, whatever they begin with."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from astrocast.cli.app import main
from astrocast.errors import InvalidValueError
from astrocast.study.cohort import Cohort
from astrocast.study.table import StudyRow, name_rows

FORMULA = ("=", "+", "-", "@")


def test_a_study_of_odd_names_writes_no_formula(
    recordings: Path, tmp_path: Path
) -> None:
    table = tmp_path / "odd.csv"
    movie = recordings / "one.h5"
    table.write_text(
        "recording,name,group,subject,frame_rate,conversion.loc_in\n"
        f"{movie},=one,=1+1,@SUM(A1),4,data/ch0\n"
    )
    out = tmp_path / "study"
    words = ["batch", str(table), "-o", str(out), "--set", "motion.enabled=false"]
    assert main(["-q", *words]) == 0
    for name in ("recordings.csv", "events.csv"):
        found = pd.read_csv(out / name)
        texts = found.select_dtypes(exclude="number").to_numpy().ravel()
        assert len(found)
        assert not [t for t in texts if str(t).startswith(FORMULA)]
    cohort = Cohort(out)
    assert cohort.recordings["group"].tolist() == ["=1+1"]
    assert set(cohort.read(["subject"])["subject"]) == {"@SUM(A1)"}


@pytest.mark.parametrize("name", ["../up", "a/b", "..", "a\\b", "c:d"])
def test_a_name_never_leads_out_of_the_study(name: str) -> None:
    with pytest.raises(InvalidValueError, match="as the name of a folder"):
        name_rows([StudyRow(Path("movie.tif"), name)])
