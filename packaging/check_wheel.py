"""Build the wheel, install it into empty environments, and run the demo there.

``python packaging/check_wheel.py [PYTHON ...]``: interpreters to try; those of 3.11,
3.12 and 3.13 that are found when none is named. Nothing of the checkout is imported:
the demo runs in a temporary folder, with the wheel and what it depends on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
#: the demo finds 40 of 40 events; fewer than these are a fault
LEAST_F1 = 0.95
MB = 1e6


def main() -> int:
    """Return 0 if the wheel works on every interpreter that was found."""
    with tempfile.TemporaryDirectory(prefix="astrocast-wheel-") as name:
        folder = Path(name)
        wheel = build(folder / "dist")
        pythons = sys.argv[1:] or find_pythons()
        worked = [check(wheel, python, folder) for python in pythons]
    missing = [v for v in VERSIONS if not any(v == found for found, _ in worked)]
    if missing:
        print(f"not tried, no interpreter found: {', '.join(missing)}")
    return 0 if worked and all(good for _, good in worked) else 1


def build(folder: Path) -> Path:
    """Build wheel and source distribution, check both, return the wheel."""
    tool = [sys.executable, "-m"]
    run([*tool, "build", "--no-isolation", "--outdir", folder, ROOT])
    run([*tool, "twine", "check", "--strict", *sorted(folder.iterdir())])
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        names = archive.namelist()
    stray = [n for n in names if not n.startswith(("astrocast/", "astrocast-"))]
    if stray:
        raise SystemExit(f"the wheel holds what is not the package: {stray[:5]}")
    print(
        f"{wheel.name}: {wheel.stat().st_size / MB:.1f} MB,"
        f" {unpacked / MB:.1f} MB unpacked, {len(names)} files"
    )
    return wheel


def find_pythons() -> list[str]:
    """Return the interpreters of the supported versions on the path and of pyenv."""
    found = []
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in VERSIONS:
        names = [f"python{version}"]
        names += [str(p / "bin" / "python") for p in sorted(pyenv.glob(f"{version}.*"))]
        found += [n for n in names if version_of(n) == version][:1]
    return found


def version_of(python: str) -> str | None:
    """Return the version of an interpreter as '3.11', None if it does not run."""
    if shutil.which(python) is None:
        return None
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    asked = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else None


def check(wheel: Path, python: str, folder: Path) -> tuple[str | None, bool]:
    """Install the wheel into an empty environment and run the demo in it."""
    version = version_of(python)
    place = folder / f"python-{version}"
    work = place / "work"
    run([python, "-m", "venv", place])
    work.mkdir()
    binaries = place / ("Scripts" if os.name == "nt" else "bin")
    inside = binaries / "python"
    before = size_of(place)
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet"]
    run([*install, "--python", inside, "--only-binary", ":all:", wheel])
    size = size_of(place) - before
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [binaries / "astrocast", "demo", "--output", "demo"]
    done = subprocess.run(command, cwd=work, env=environment, check=False)
    score_file = work / "demo" / "score.json"
    if done.returncode != 0 or not score_file.exists():
        print(f"Python {version}: the demo failed with exit code {done.returncode}")
        return version, False
    score = json.loads(score_file.read_text(encoding="utf-8"))
    f1 = score["F1 at IoU 0.5"]
    good = f1 >= LEAST_F1
    print(
        f"Python {version}: {size / MB:.0f} MB installed, demo"
        f" {score['found events']:g} of {score['true events']:g} events,"
        f" F1 {f1:.2f}{'' if good else f' (expected at least {LEAST_F1})'}"
    )
    shutil.rmtree(place)
    return version, good


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return sum(p.stat().st_size for p in files)


def run(command: list[object]) -> None:
    """Run a command; end with its exit code if it fails."""
    done = subprocess.run([str(part) for part in command], check=False)
    if done.returncode != 0:
        raise SystemExit(f"failed: {' '.join(str(part) for part in command)}")


if __name__ == "__main__":
    raise SystemExit(main())
