"""Describe this computer: versions, extras, cores, memory, disk, GPU, browser, display.

For `astrocast doctor`, whose output can be pasted into a bug report.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from astrocast import __version__
from astrocast.kernels.parallel import count_cores

#: bytes written to measure the disk: more than its cache for small writes
_PROBE = 64 << 20
_BROWSERS = ("chromium", "google-chrome", "chrome", "firefox", "msedge", "safari")


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Parameters
    ----------
    topic
        What was examined.
    state
        Its state.
    advice
        What to do; empty if nothing is missing.
    """

    topic: str
    state: str
    advice: str = ""


def examine(folder: Path) -> list[Finding]:
    """Return the installed and the missing parts.

    Parameters
    ----------
    folder
        Folder whose disk is measured: 64 MiB are written there and removed.

    Examples
    --------
    >>> from pathlib import Path
    >>> examine(Path("."))[0].topic
    'astrocast'
    """
    return [
        *_versions(),
        *_extras(),
        Finding("cores", f"{count_cores()} for this process, {os.cpu_count()} in all"),
        _memory(),
        _disk(folder),
        _gpu(),
        _browser(),
        _display(),
    ]


def _versions() -> Iterator[Finding]:
    yield Finding("astrocast", __version__)
    yield Finding("python", f"{platform.python_version()} ({sys.executable})")
    yield Finding("system", platform.platform())
    for name in ("numpy", "scipy", "numba", "h5py", "zarr", "dask", "pandas"):
        yield Finding(name, importlib.metadata.version(name))


def _extras() -> Iterator[Finding]:
    """Yield a finding for each extra: whether all its packages are installed."""
    packages: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("astrocast") or []:
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if extra:
            name = re.match(r"[\w.-]+", line)
            packages.setdefault(extra.group(1), []).append(name.group() if name else "")
    for extra_name, needed in sorted(packages.items()):
        missing = [name for name in needed if not _is_installed(name)]
        if missing:
            yield Finding(
                f"extra {extra_name}",
                f"not installed ({', '.join(missing)})",
                f"pip install 'astrocast[{extra_name}]'",
            )
        else:
            yield Finding(f"extra {extra_name}", "installed")


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    state = f"{memory.available / 1e9:.1f} GB free of {memory.total / 1e9:.1f} GB"
    few = memory.available < 2e9
    return Finding("memory", state, "close other programs: 2 GB are needed" * few)


def _disk(folder: Path) -> Finding:
    try:
        free = shutil.disk_usage(folder).free
        rate = _write_rate(folder)
    except OSError as error:
        return Finding(
            "disk",
            f"{folder} cannot be written to: {error.strerror}",
            "choose another folder",
        )
    state = f"{free / 1e9:.0f} GB free in {folder}, writes {rate / 1e6:.0f} MB/s"
    return Finding("disk", state, "free some space" if free < 10e9 else "")


def _write_rate(folder: Path) -> float:
    """Return the writing speed in bytes per second, including the sync to disk."""
    block = os.urandom(1 << 20)
    with tempfile.TemporaryFile(dir=folder) as file:
        begin = time.perf_counter()
        for _ in range(_PROBE // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return _PROBE / (time.perf_counter() - begin)


def _gpu() -> Finding:
    """Return the GPU that JAX can use; no other library uses one."""
    if not _is_installed("jax"):
        return Finding("GPU", "not used: JAX is not installed", "optional: extra gpu")
    import jax

    devices = [d for d in jax.devices() if d.platform != "cpu"]
    if not devices:
        return Finding("GPU", "none that JAX can use; everything runs on the CPU")
    return Finding("GPU", ", ".join(str(d.device_kind) for d in devices))


def _browser() -> Finding:
    found = [name for name in _BROWSERS if shutil.which(name)]
    if found or sys.platform in ("darwin", "win32"):
        return Finding("browser", ", ".join(found) or "that of the system")
    return Finding(
        "browser",
        "none found",
        "astrocast explore --no-browser prints an address to open elsewhere",
    )


def _display() -> Finding:
    if sys.platform in ("darwin", "win32"):
        return Finding("display", "that of the system")
    name = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
    if name:
        return Finding("display", name)
    return Finding(
        "display", "none", "napari needs one: use astrocast explore, or xvfb-run -a"
    )
