"""Results that are kept on disk under what they were computed from.

The name of a result is a hash of everything it depends on: what was computed, with
which parameters, the content of the table and the recording, the seed, and the code
itself. A change of any of them is another name, so an old result cannot be found by
mistake, and a result that is found needs no check but that of its own bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
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
    """Keeps arrays under a hash of what they come from.

    Parameters
    ----------
    directory
        Where results are kept; None keeps nothing.
    seed
        Part of every name: results of another seed are others.
    """

    def __init__(self, directory: Path | None, seed: int) -> None:
        self.directory, self.seed = directory, seed

    def arrays(
        self, name: str, inputs: dict[str, Any], compute: Callable[[], Arrays]
    ) -> Arrays:
        """Return the arrays of a result, computing them where they are not kept yet.

        Parameters
        ----------
        name
            What is computed.
        inputs
            Everything it depends on: parameters, and hashes of tables and recordings.
        compute
            Returns the arrays; they must not hold Python objects.
        """
        if self.directory is None:
            return compute()
        key = json.dumps([name, plain(inputs), self.seed, code_hash()], sort_keys=True)
        path = (
            self.directory
            / f"{name}-{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.npz"
        )
        kept = _read(path)
        if kept is None:
            kept = compute()
            _write(path, kept)
        return kept


def _checksum(arrays: Arrays) -> NDArray[np.uint8]:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(name.encode())
        _feed(digest, arrays[name])
    return np.frombuffer(digest.digest(), np.uint8)


def _read(path: Path) -> Arrays | None:
    """Return the arrays of a file; None where it is absent or not what was written."""
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
