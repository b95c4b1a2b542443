"""Damaged files of every format: the pixels as they were, or one clear error."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from astrocast.errors import AstrocastError
from astrocast.io import open_recording
from torture.campaigns import Report, make_movie, remove, store

#: address space of a child that reads a damaged file, above what it has already
MEMORY_LIMIT = 2 << 30
#: seconds of CPU time that reading a small file may take
TIME_LIMIT = 20
FORMATS = ("h5", "zarr", "tif", "npy", "tdb")
VENDORS = ("czi", "lif", "nd2")
#: kinds that hold checksums of their content
CHECKED = ("whole.h5", "packed.h5", "whole.zarr", "model")


def mutate(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Return damaged bytes and what was done."""
    kind = rng.choice(("flip", "flips", "cut", "zeros", "header", "insert"))
    raw = bytearray(content)
    place = rng.randrange(len(raw))
    if kind == "flip":
        raw[place] ^= 1 << rng.randrange(8)
    elif kind == "flips":
        for _ in range(rng.randint(2, 30)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    elif kind == "cut":
        del raw[place:]
    elif kind == "zeros":
        raw[place : place + rng.randint(1, 600)] = bytes(min(600, len(raw) - place))
    elif kind == "header":
        raw[rng.randrange(min(300, len(raw)))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
    else:
        raw[place:place] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 50)))
    return bytes(raw), kind


def read_pixels(path: Path) -> bytes:
    """Return what is in a recording: shape, dtype and pixels of the first channel."""
    loc = "ch0" if path.suffix[1:] in VENDORS else "data/ch0"
    with open_recording(path, loc) as movie:
        found = repr((movie.shape, movie.dtype.str)).encode()
        if movie.nbytes < 50_000_000:
            found += movie.to_array().tobytes()
        return found


def read_weights(path: Path) -> bytes:
    """Return the weights of a model file."""
    from astrocast.denoising.model_files import read_network

    return b"".join(a.tobytes() for a in read_network(path).unet.arrays())


def read_child(path: Path, read: Callable[[Path], bytes]) -> tuple[str, bytes]:
    """Read a file in a process of its own, in bounded time and memory.

    Returns the outcome (``content``, ``refused``, or what must not happen) and the
    bytes of the content or the message.
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        limit = MEMORY_LIMIT + 8 * used + (8 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CPU, (TIME_LIMIT, 2 * TIME_LIMIT))
        signal.alarm(20 * TIME_LIMIT)  # waits for ever, or a very busy computer
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            warnings.simplefilter("ignore")
            found = b"content" + read(path)
        except AstrocastError as error:
            found = b"refused" + str(error).encode()
        except BaseException:  # noqa: BLE001 - that is what is looked for
            found = b"unexpected " + traceback.format_exc()[-600:].encode()
        with os.fdopen(send, "wb") as pipe:
            pipe.write(found)
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        found = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        slow = name in ("SIGALRM", "SIGXCPU")
        return ("took too long" if slow else f"crashed by {name}"), b""
    for outcome in ("content", "refused"):
        if found.startswith(outcome.encode()):
            return outcome, found[len(outcome) :]
    return "unexpected error", found


def make_files(root: Path) -> dict[Path, Callable[[Path], bytes]]:
    """Write a valid file of each kind; return how each is read.

    Kinds whose extra is not installed are left out.
    """
    for package in ("czifile", "liffile", "nd2", "h5py"):
        with suppress(ImportError):  # here, not in each of the children
            import_module(package)
    movie = make_movie(24, 40)
    paths = {root / f"whole.{suffix}": {} for suffix in FORMATS}
    paths[root / "packed.h5"] = {"compression": "lz4"}
    for path, options in paths.items():
        _in_child(lambda p=path, o=options: store(p, movie, **o))
    for suffix in VENDORS:
        path = root / f"whole.{suffix}"
        few = movie[:8].reshape(4, 2, 40, 40)
        _in_child(lambda p=path, f=few: write_vendor_file(p, f))
        paths[path] = {}
    found: dict[Path, Callable[[Path], bytes]] = {
        path: read_pixels for path in paths if path.exists()
    }
    _in_child(lambda: write_models(root))
    models = [root / "model", root / "model.keras"]
    return found | {path: read_weights for path in models if path.exists()}


def write_vendor_file(path: Path, movie: np.ndarray) -> None:
    """Write a small CZI, LIF or ND2 file by hand, where it can be read."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "io" / "formats"))
    import vendor_files

    if path.suffix == ".lif":
        vendor_files.write_lif(path, {"series": movie})
    else:
        getattr(vendor_files, f"write_{path.suffix[1:]}")(path, movie)
    try:
        read_pixels(path)
    except AstrocastError:  # the extra is missing
        path.unlink()


def write_models(root: Path) -> None:
    """Write a network as this package does (a folder), and as a Keras archive."""
    from astrocast.denoising.model_files import write_network
    from astrocast.kernels.denoising.unet_layout import expected_maps, unet_from_arrays

    rng, arrays = np.random.default_rng(0), []
    for before, after in expected_maps(2, 4, 4):
        arrays += [rng.normal(0, 1, (3, 3, before, after)), rng.normal(0, 1, after)]
    weights = write_network(root / "model", "net", unet_from_arrays(arrays), {})
    layers = [{"class_name": "Conv2D", "config": {"name": "convolution_0"}}]
    with zipfile.ZipFile(root / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
        archive.write(weights, "model.weights.h5")


def damage_files(seconds: float, seed: int, least: int = 0) -> Report:
    """Damage valid files of every kind, and read them.

    The content is that of the undamaged file, or there is one clear error. A format
    without checksums cannot tell changed pixels: those are counted by themselves.
    """
    rng, report = random.Random(seed), Report()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        files = make_files(root)
        originals = {path: read_child(path, read) for path, read in files.items()}
        for path, (outcome, found) in originals.items():
            assert outcome == "content", f"{path}: {outcome}: {found.decode()}"
        end, n = time.monotonic() + seconds, 0
        while time.monotonic() < end or n < least:
            whole, read = list(files.items())[n % len(files)]
            n += 1
            damaged, kind = _damaged_copy(whole, root / f"damaged{whole.suffix}", rng)
            outcome, found = read_child(damaged, read)
            case = f"{whole.name} {kind}, case {n}, seed {seed}"
            name = whole.name.removeprefix("whole.")
            if outcome == "refused":
                report.note(f"{name}: refused")
                if len(found) > 1500:
                    report.note("a message of a page", case, fault=True)
            elif outcome != "content":
                report.note(outcome, f"{case}: {found.decode()[-400:]}", fault=True)
            elif (outcome, found) == originals[whole]:
                report.note(f"{name}: same content")
            elif whole.name in CHECKED and not _is_checksum(kind):
                report.note("other content, in silence", case, fault=True)
            else:
                report.note(f"{name}: other content (no checksums in the format)")
            remove(damaged)
    return report


def _is_checksum(kind: str) -> bool:
    """Return whether the damage took the checksums away."""
    return "checksum" in kind or kind.startswith("without net.json")


def _in_child(write: Callable[[], Any]) -> None:
    """Write a file; no thread of a library may run when children are forked."""
    child = os.fork()
    if child == 0:
        try:
            write()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _damaged_copy(whole: Path, target: Path, rng: random.Random) -> tuple[Path, str]:
    if whole.is_dir():
        shutil.copytree(whole, target)
        files = sorted(p for p in target.rglob("*") if p.is_file())
        path = rng.choice(files)
        if rng.random() < 0.15:
            path.unlink()
            return target, f"without {path.name}"
    else:
        shutil.copy(whole, target)
        path = target
    content = path.read_bytes()
    if content:
        damaged, kind = mutate(content, rng)
        path.write_bytes(damaged)
        return target, f"{path.name} {kind}"
    path.unlink()
    return target, f"without {path.name}"
