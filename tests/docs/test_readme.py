"""The examples of the README run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


# a user's session: warnings are not what the example is about
@pytest.mark.filterwarnings("ignore")
def test_the_python_example_runs_and_finds_the_flash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frames = np.random.default_rng(1).normal(200, 2, (120, 64, 64))
    rows, columns = np.mgrid[:64, :64]
    # structure for the registration to hold on to
    frames += 60 * np.sin(columns / 3) * np.sin(rows / 4 + columns / 9)
    spot = np.exp(-((rows - 30) ** 2 + (columns - 34) ** 2) / 40)
    frames += 150 * spot * np.exp(-((np.arange(120) - 60) ** 2) / 50)[:, None, None]
    tifffile.imwrite("movie.tif", frames.astype("uint16"), photometric="minisblack")
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # our own page
    table = names["events"].events  # type: ignore[attr-defined]
    assert len(table) == 1
    biggest = table.iloc[0]
    assert biggest["z0"] < 60 < biggest["z1"]
    assert biggest["x0"] < 30 < biggest["x1"]


def test_commands_of_the_first_screen_exist() -> None:
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text(
        encoding="utf-8"
    )
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
