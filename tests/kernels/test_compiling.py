"""The cache of compiled kernels follows changes in every file it was made from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from astrocast.kernels import compiling

#: a package of two files: `caller` compiles a kernel of `callee` into its own
_PACKAGE = {
    "__init__.py": "",
    "kernels/__init__.py": "",
    "kernels/compiling.py": Path(compiling.__file__).read_text(encoding="utf-8"),
    "kernels/callee.py": """
from astrocast.kernels.compiling import njit

@njit(cache=True, nogil=True)
def term(x):
    return x + 1
""",
    "kernels/caller.py": """
from astrocast.kernels.compiling import njit
from astrocast.kernels.callee import (
    term,
)

@njit(cache=True, nogil=True)
def total(x):
    return 10 * term(x)
""",
    "kernels/alone.py": """
from astrocast.kernels.compiling import njit

@njit(cache=True, nogil=True)
def one():
    return 1
""",
}
_CALL = """
from astrocast.kernels.caller import total
from astrocast.kernels.alone import one
print(total(1), one(), sum(total.stats.cache_hits.values()),
      sum(one.stats.cache_hits.values()))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, text in _PACKAGE.items():
        path = tmp_path / "astrocast" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def _call(package: Path, **environment: str) -> list[int]:
    """Return total(1), one(), and how often each was read from the cache."""
    found = subprocess.run(
        [sys.executable, "-c", _CALL],
        env=os.environ | {"PYTHONPATH": str(package), **environment},
        cwd=package,
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in found.stdout.split()]


def test_a_change_in_a_called_file_is_noticed(package: Path) -> None:
    assert _call(package) == [20, 1, 0, 0]
    assert _call(package) == [20, 1, 1, 1], "the second process reads the cache"
    callee = package / "astrocast/kernels/callee.py"
    callee.write_text(callee.read_text().replace("x + 1", "x + 2"))
    # the caller is compiled again; what does not import the changed file is not
    assert _call(package) == [30, 1, 0, 1]
    assert _call(package) == [30, 1, 1, 1]


def test_rewording_a_comment_or_docstring_compiles_nothing_again(package: Path) -> None:
    for name in ("callee", "caller"):
        path = package / f"astrocast/kernels/{name}.py"
        # the lines of the functions stay where they are: numba names its files by them
        path.write_text(f'"""A file."""\n# a comment\n{path.read_text()}')
    assert _call(package) == [20, 1, 0, 0]
    for name in ("callee", "caller"):
        path = package / f"astrocast/kernels/{name}.py"
        text = path.read_text().replace("A file", "More: another")
        path.write_text(text.replace("a comment", "another one"))
    assert _call(package) == [20, 1, 1, 1]
    callee = package / "astrocast/kernels/callee.py"
    callee.write_text(callee.read_text().replace("x + 1", "x + 2"))
    assert _call(package) == [30, 1, 0, 1]


def test_a_read_only_installation_uses_the_users_cache(package: Path) -> None:
    # a file in the place of the folder: nobody can write there, not even root
    (package / "astrocast/kernels/__pycache__").write_text("")
    home = package / "home"
    environment = {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "LOCALAPPDATA": str(home),
    }
    assert _call(package, **environment) == [20, 1, 0, 0]
    assert _call(package, **environment) == [20, 1, 1, 1]
    callee = package / "astrocast/kernels/callee.py"
    callee.write_text(callee.read_text().replace("x + 1", "x + 2"))
    assert _call(package, **environment) == [30, 1, 0, 1]


def test_processes_that_compile_at_the_same_time_agree(package: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _CALL],
            env=os.environ | {"PYTHONPATH": str(package)},
            cwd=package,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [p.communicate()[0].split()[:2] for p in processes] == [["20", "1"]] * 2


def test_the_stamp_of_a_file_holds_what_it_imports_through_others() -> None:
    folder = Path(compiling.__file__).parent
    reached = compiling._all_imports(folder / "event_features" / "features.py")
    assert folder / "compiling.py" in reached
    assert folder / "masks" / "runs.py" in reached, "features imports it"
    assert folder / "parallel.py" in reached, "runs imports it"
    assert not any("jax_engine" in file.name for file in reached)


def test_options_reach_numba() -> None:
    @compiling.njit(fastmath=True)
    def double(x: float) -> float:
        return 2 * x

    assert double.targetoptions["fastmath"] is True
    assert double(np.float64(1.5)) == 3.0


WRITES = """
import numpy as np
from astrocast.kernels.compiling import njit

@njit(cache=True)
def total(x):
    s = 0.0
    for i in range(x.size):
        s += x.flat[i]
    return s

for shape in (SHAPES):
    assert total(np.ones(shape)) == np.prod(shape), shape
"""


def run_writes(folder: Path, shapes: str, limit: int | None = None) -> None:
    script = folder / "writes.py"
    if not script.exists():
        script.write_text(WRITES.replace("SHAPES", "__import__('sys').argv[1].split()"))
    text = script.read_text().replace("(shape)", "([int(n) for n in shape.split('x')])")
    script.write_text(text)
    before = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit},) * 2);"
        if limit
        else ""
    )
    code = (
        f"{before}import runpy, sys; sys.argv = ['x', {shapes!r}];"
        f" runpy.run_path({str(script)!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="file-size limit")
def test_a_cache_on_a_full_disk_never_names_the_code_of_another_signature(
    tmp_path: Path,
) -> None:
    """Compiled code cannot be written, its index could: the next process must not load
    the code of another signature under its name.
    """
    run_writes(tmp_path, "3")
    script = tmp_path / "writes.py"
    script.write_text(script.read_text() + "\n# a new stamp\n")
    run_writes(tmp_path, "3x2", limit=3000)
    run_writes(tmp_path, "3x2 3")


def test_a_damaged_cache_is_compiled_again(tmp_path: Path) -> None:
    run_writes(tmp_path, "3")
    for path in (tmp_path / "__pycache__").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    run_writes(tmp_path, "3")
