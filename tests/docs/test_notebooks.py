"""The notebooks run from the first cell to the last."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NAMES = sorted(p.stem for p in FOLDER.glob("*.ipynb"))


def test_there_are_three() -> None:
    assert NAMES == ["one_method_compared", "one_recording", "one_study"]


@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs(name: str) -> None:
    """In a process of its own: a kernel opens sockets, which other tests watch."""
    pytest.importorskip("nbclient")
    done = subprocess.run(
        [sys.executable, str(FOLDER / "execute.py"), "--check", name],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
