"""Names in exported tables are text, never formulas or paths."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from astrocast.cli.commands.analyze_output import write_table
from astrocast.io.export.tables import (
    harmless,
    remove_marks,
    write_csv,
    write_excel,
)

NAMES = ["=1+1", "+1", "-2", "@SUM(A1)", "../../etc/x", "plain", "a=b"]


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {"recording": NAMES, "area": range(len(NAMES)), "=x": 1.5},
        index=pd.Index(range(1, len(NAMES) + 1)),
    )


def test_csv_has_no_formula(tmp_path: Path, table: pd.DataFrame) -> None:
    write_csv(tmp_path / "a.csv", table)
    found = pd.read_csv(tmp_path / "a.csv")
    cells = [*found["recording"], *found.columns]
    assert not [c for c in cells if str(c).startswith(("=", "+", "-", "@"))]
    assert found["recording"].str.removeprefix("'").tolist() == NAMES
    assert found["area"].tolist() == list(range(len(NAMES)))


def test_excel_has_no_formula(tmp_path: Path, table: pd.DataFrame) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    write_excel(tmp_path / "a.xlsx", table)
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    kinds = {cell.data_type for row in book["events"].iter_rows() for cell in row}
    assert "f" not in kinds
    assert list(tmp_path.iterdir()) == [tmp_path / "a.xlsx"]


def test_tables_of_analyses_have_no_formula(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    write_table(table, tmp_path / "a.csv")
    found = pd.read_csv(tmp_path / "a.csv")
    cells = [*found["recording"], *found.columns]
    assert not [c for c in cells if str(c).startswith(("=", "+", "-", "@"))]


def test_marks_are_removed_when_a_table_is_read_back(table: pd.DataFrame) -> None:
    quoted = pd.DataFrame({"recording": ["'a'", "'", "'b"]})
    for whole in (table, quoted):
        pd.testing.assert_frame_equal(remove_marks(harmless(whole)), whole)
