"""Tutorials and the Python examples of the pages run from the first line to the last,
and the pages build.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("plot_*.py"))
HOW_TO = sorted(p for p in (DOCS / "how-to").glob("*.md") if p.name != "index.md")


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_the_examples_of_the_pages_run(tmp_path: Path) -> None:
    scripts = {}
    for page in HOW_TO:
        examples = re.findall(
            r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
        )
        assert examples, page
        scripts[page.name] = "\n".join(examples)
    # one interpreter for all; a namespace and an empty folder for each page
    calls = ["import os"]
    for name, text in scripts.items():
        folder = tmp_path / name
        folder.mkdir()
        calls += [
            f"os.chdir({str(folder)!r})",
            f"exec(compile({text!r}, {name!r}, 'exec'), {{}})",
        ]
    (tmp_path / "examples.py").write_text("\n".join(calls), encoding="utf-8")
    done = run(["-W", "error", "examples.py"], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_pages_build_and_tutorials_run_without_a_warning(tmp_path: Path) -> None:
    """The gallery runs each tutorial; an error in one fails the build."""
    docs = tmp_path / "docs"
    ignored = shutil.ignore_patterns("_build", "auto_*", "api", "sg_*")
    shutil.copytree(DOCS, docs, ignore=ignored)
    site = tmp_path / "site"
    sphinx = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = run([*sphinx, str(docs), str(site)], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    first = (site / "auto_tutorials" / "plot_1_first_run.html").read_text("utf-8")
    assert float(re.search(r"F1 (\d\.\d+)", first).group(1)) >= 0.8
    for script in TUTORIALS:
        assert (site / "auto_tutorials" / f"{script.stem}.html").exists(), script
    parameters = (site / "reference" / "parameters.html").read_text("utf-8")
    assert "temporal_prominence" in parameters
    columns = (site / "reference" / "event-columns.html").read_text("utf-8")
    assert "half_width_s" in columns
    for script in TUTORIALS:
        page = (site / "auto_tutorials" / f"{script.stem}.html").read_text("utf-8")
        assert "<img" in page.partition("<article")[2], f"{script.name}: no picture"
    checked = run([str(DOCS / "check_links.py"), str(site)], tmp_path)
    assert checked.returncode == 0, checked.stdout[-3000:]


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="here">A</h1><a href="b.html#there">b</a><a href="#gone">x</a>'
        '<a href="c.html">c</a><a href="#here">y</a><script src="https://cdn.x/y.js">'
    )
    (tmp_path / "b.html").write_text('<h1 id="elsewhere">B</h1>')
    found = run([str(DOCS / "check_links.py"), str(tmp_path)], tmp_path)
    lines = found.stdout.splitlines()
    assert found.returncode == 1
    assert len(lines) == 4
    for part in ("b.html#there", "#gone", "c.html", "https://cdn.x/y.js"):
        assert any(part in line for line in lines), part
