"""Store results on disk under a hash of everything they were computed from.

The hash covers the computation's name, its parameters, the content of table and
recording, the seed and the code. A change in any of them gives another file name, so an
outdated result is never used; a stored file is only checked for damage.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.events.array_columns import MaskArray, TraceArray
from astrocast.runtime.provenance import plain

Arrays = dict[str, NDArray[Any]]
#: packages whose source a result depends on
_CODE = ("analysis", "events", "kernels")


@once
def code_hash() -> str:
    """Return a hash of the source that computes results; a new version of it finds no
    results of the old one.
    """
    digest = hashlib.blake2b(digest_size=16)
    root = Path(__file__).resolve().parent.parent
    for package in _CODE:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _feed(digest: Any, array: NDArray[Any]) -> None:
    array = np.ascontiguousarray(array)
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.tobytes() if array.dtype.kind in "US" else array.data)


def table_hash(table: pd.DataFrame) -> str:
    """Return a hash of the index, the columns and every value of a table."""
    digest = hashlib.blake2b(digest_size=16)
    for name, column in [("", table.index.to_series()), *table.items()]:
        array = column.array
        digest.update(f"|{name}|{array.dtype}|{len(array)}|".encode())
        if isinstance(array, TraceArray | MaskArray):
            _feed(digest, array.flat)
            _feed(digest, array.offsets)
            if isinstance(array, MaskArray):
                _feed(digest, array.shapes)
        elif isinstance(array.dtype, np.dtype) and array.dtype.kind in "biufcMm":
            _feed(digest, column.to_numpy())
        else:
            for value in column:
                text = (
                    repr(value.tolist())
                    if isinstance(value, np.ndarray)
                    else f"{type(value).__name__}{value!r}"
                )
                digest.update(f"{len(text)}:{text}".encode())
    return digest.hexdigest()


class ResultCache:
    """Store arrays under a hash of the inputs they were computed from.

    Parameters
    ----------
    directory
        Directory of the stored results; None stores nothing.
    seed
        Part of the hash.
    """

    def __init__(self, directory: Path | None, seed: int) -> None:
        self.directory, self.seed = directory, seed

    def arrays(
        self, name: str, inputs: Mapping[str, Any], compute: Callable[[], Arrays]
    ) -> Arrays:
        """Return the arrays of a result; compute and store them where they are missing.

        Parameters
        ----------
        name
            Name of the computation.
        inputs
            Everything the result depends on: parameters, and hashes of tables and
            recordings. A value that takes long to find may be a function without
            arguments, which is called only where results are stored.
        compute
            Returns the arrays; they must not hold Python objects.
        """
        if self.directory is None:
            return compute()
        values = {k: v() if callable(v) else v for k, v in inputs.items()}
        key = json.dumps([name, plain(values), self.seed, code_hash()], sort_keys=True)
        path = (
            self.directory
            / f"{name}-{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.npz"
        )
        stored = _read(path)
        if stored is None:
            stored = compute()
            _write(path, stored)
        return stored


def _checksum(arrays: Arrays) -> NDArray[np.uint8]:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(name.encode())
        _feed(digest, arrays[name])
    return np.frombuffer(digest.digest(), np.uint8)


def _read(path: Path) -> Arrays | None:
    """Return the arrays of a file; None where it is missing or damaged."""
    if not path.is_file():
        return None
    try:
        # opened here: np.load leaves a damaged file open
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        written = held.pop("_checksum")
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ):  # damaged: compute again
        return None
    return held if np.array_equal(written, _checksum(held)) else None


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(
                file, allow_pickle=False, **{"_checksum": _checksum(arrays), **arrays}
            )
        os.replace(beside, path)  # noqa: PTH105 - atomic on every system
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
