"""Tutorials and the Python examples of the pages run from the first line to the last,
and the pages build.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.py"))
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("script", TUTORIALS, ids=lambda path: path.stem)
def test_the_tutorial_runs(script: Path, tmp_path: Path) -> None:
    done = run([str(script)], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    if script.stem == "first_run":
        assert float(re.search(r"F1 (\d\.\d+)", done.stdout).group(1)) >= 0.8


def test_the_examples_of_the_pages_run(tmp_path: Path) -> None:
    scripts = {}
    for page in HOW_TO:
        examples = re.findall(
            r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
        )
        assert examples, page
        scripts[page.name] = "\n".join(examples)
    # one interpreter for all, a namespace for each page
    calls = [
        f"exec(compile({text!r}, {name!r}, 'exec'), {{}})"
        for name, text in scripts.items()
    ]
    (tmp_path / "examples.py").write_text("\n".join(calls), encoding="utf-8")
    done = run(["-W", "error", "examples.py"], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    done = run(
        [
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--quiet",
            "--site-dir",
            str(tmp_path / "site"),
        ],
        DOCS.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "site"
    assert "<h1" in (site / "tutorials" / "first_run.html").read_text(encoding="utf-8")
    parameters = (site / "reference" / "parameters.html").read_text(encoding="utf-8")
    assert "temporal_prominence" in parameters
    assert not re.search(
        r'(?:src|href)="https?://[^"]+\.(?:js|css)',
        (site / "index.html").read_text(encoding="utf-8"),
    )
