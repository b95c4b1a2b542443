"""Provenance of a result: parameters, input and versions, stored beside it."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from concurrent.futures import Executor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from astrocast import __version__
from astrocast.io.recording import Recording
from astrocast.io.writing.files import replacing
from astrocast.kernels.parallel import count_cores
from astrocast.runtime.blocks import (
    Block,
    frames_per_block,
    map_blocks,
    plan_blocks,
)

FORMAT_VERSION = 1
_REPORTED = (
    "numpy",
    "scipy",
    "numba",
    "scikit-image",
    "connected-components-3d",
    "h5py",
    "zarr",
    "tifffile",
    "pandas",
)


def hash_frames(frames: NDArray[Any], pool: Executor | None = None) -> bytes:
    """Return the concatenated hashes of the frames, 32 bytes each."""
    little = np.ascontiguousarray(
        frames.astype(frames.dtype.newbyteorder("<"), copy=False)
    )

    def hash_frame(frame: NDArray[Any]) -> bytes:
        # 2.4 times as fast as blake2b on processors with instructions for it
        return hashlib.sha256(frame.data).digest()

    hashes = map(hash_frame, little) if pool is None else pool.map(hash_frame, little)
    return b"".join(hashes)


class HashFrames:
    """Hash the frames of a block; a task for `map_blocks`."""

    def __call__(
        self, frames: NDArray[Any], block: Block, pool: Executor | None
    ) -> bytes:
        """Return the hashes of the frames of a block, without its halo."""
        return hash_frames(frames[block.inner], pool)


class ContentHash:
    """Hash of shape, dtype and all values of a recording, computed block by block.

    It is the hash of the hashes of all frames, so workers can hash blocks in any order.
    It does not depend on the file format.
    """

    def __init__(self, recording: Recording) -> None:
        self._digest = hashlib.sha256()
        self._digest.update(
            f"{recording.shape}{recording.dtype.str.lstrip('<>=|')}".encode()
        )

    def update(self, block: NDArray[Any]) -> None:
        """Add the next frames."""
        self.add(hash_frames(block))

    def add(self, hashes: bytes) -> None:
        """Add the hashes of the next frames."""
        self._digest.update(hashes)

    def hexdigest(self) -> str:
        """Return the hash of all frames added, 32 hexadecimal digits."""
        return self._digest.hexdigest()[:32]


def content_hash(recording: Recording) -> str:
    """Return the `ContentHash` of a whole recording."""
    digest = ContentHash(recording)
    blocks = list(plan_blocks(len(recording), frames_per_block(recording)))
    for _, hashes in map_blocks(recording, HashFrames(), blocks):
        digest.add(hashes)
    return digest.hexdigest()


def describe_input(recording: Recording, digest: str | None = None) -> dict[str, Any]:
    """Return path, dataset, shape, dtype and content hash of a recording.

    ``digest``: content hash, if it is known; otherwise the whole recording is read.
    """
    return {
        "path": str(recording.path) if recording.path else None,
        "loc": recording.loc,
        "shape": list(recording.shape),
        "dtype": str(recording.dtype),
        "content_hash": digest or content_hash(recording),
        "metadata": recording.metadata.to_attributes(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    found = {
        "astrocast": __version__,
        "python": platform.python_version(),
        "platform": sys.platform,
    }
    for name in _REPORTED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # e.g. a frozen installation
            found[name] = "unknown"
    return found


def now() -> str:
    """Return date and time, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe_computation() -> dict[str, Any]:
    """Return date, versions and computer of a computation."""
    machine = {
        "name": platform.node(),
        "system": platform.platform(),
        "cores": count_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
    }
    return {"created": now(), "versions": versions(), "machine": machine}


def record(parameters: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """Return the provenance record that is stored beside a result."""
    return {
        "format_version": FORMAT_VERSION,
        "created": now(),
        "versions": versions(),
        "parameters": parameters,
        "input": source,
    }


def plain(value: Any) -> Any:
    """Convert ``value`` to plain values for JSON.

    Paths, tuples, NumPy numbers and dtypes become text, lists and numbers. Sets are
    sorted: their own order changes from process to process.

    >>> plain({"b", "a"})
    ['a', 'b']
    """
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(v) for v in value), key=repr)
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return getattr(value, "__name__", None) or str(value)


def write_json(path: Path, value: Any) -> None:
    """Write JSON to a temporary file and rename it: readers see a complete file."""
    text = json.dumps(plain(value), indent=1, allow_nan=False) + "\n"
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
