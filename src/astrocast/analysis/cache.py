"""Store results on disk under a hash of everything they were computed from.

<<<<<<< HEAD
The hash covers the computation's name, its parameters, the content of table and
recording, the seed and the code. A change in any of them gives another file name, so an
outdated result is never used; a stored file is only checked for damage.
=======
The name of a result is a fingerprint of everything it depends on: what was computed,
with which parameters, the content of the table and the recording, the seed, and the
version of the algorithms. A change of any of them is another name, so an old result
cannot be found by mistake, and a result that is found needs no check but that of its
own bytes.
>>>>>>> main
"""

from __future__ import annotations

import hashlib
<<<<<<< HEAD
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache as once
=======
from collections.abc import Callable
>>>>>>> main
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.events.array_columns import MaskArray, TraceArray
from astrocast.runtime.checkpoint import read_arrays, write_arrays
from astrocast.runtime.fingerprint import feed_array, fingerprint

Arrays = dict[str, NDArray[Any]]
#: of everything that is kept here: raise it when a measurement of the same events gives
#: other numbers
ALGORITHM_VERSION = 1


def table_hash(table: pd.DataFrame) -> str:
    """Return a hash of the index, the columns and every value of a table."""
    digest = hashlib.blake2b(digest_size=16)
    for name, column in [("", table.index.to_series()), *table.items()]:
        array = column.array
        digest.update(f"|{name}|{array.dtype}|{len(array)}|".encode())
        if isinstance(array, TraceArray | MaskArray):
            feed_array(digest, array.flat)
            feed_array(digest, array.offsets)
            if isinstance(array, MaskArray):
                feed_array(digest, array.shapes)
        elif isinstance(array.dtype, np.dtype) and array.dtype.kind in "biufcMm":
            feed_array(digest, column.to_numpy())
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
<<<<<<< HEAD
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
=======
        key = fingerprint(name, inputs, self.seed, ALGORITHM_VERSION)
        path = self.directory / f"{name}-{key}.npz"
        stored = read_arrays(path)
        if stored is None:
            stored = compute()
            self.directory.mkdir(parents=True, exist_ok=True)
            write_arrays(path, stored)
        return stored
>>>>>>> main
