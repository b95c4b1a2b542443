"""Store results on disk, named by a fingerprint of everything they depend on.

The fingerprint covers the name of the computation, its parameters, the content of table
and recording, the seed and the version of the algorithm. A change in any of them gives
another file name, so an outdated result is never used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.events.array_columns import MaskArray, TraceArray
from astrocast.runtime.checkpoint import read_arrays, write_arrays
from astrocast.runtime.fingerprint import feed_array, fingerprint

Arrays = dict[str, NDArray[Any]]
#: increase it when a result of the same events and parameters changes
ALGORITHM_VERSION = 1


def table_hash(table: pd.DataFrame) -> str:
    """Return a hash of the index, the columns and all values of a table."""
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
    """Store arrays, named by a fingerprint of the inputs that they depend on.

    Parameters
    ----------
    directory
        Directory of the stored results; None stores nothing.
    seed
        Part of the fingerprint.
    """

    def __init__(self, directory: Path | None, seed: int) -> None:
        self.directory, self.seed = directory, seed

    def arrays(
        self, name: str, inputs: Mapping[str, Any], compute: Callable[[], Arrays]
    ) -> Arrays:
        """Return the arrays of a result; compute and store them if they are missing.

        Parameters
        ----------
        name
            Name of the computation.
        inputs
            Everything that the result depends on: parameters, and hashes of tables and
            recordings. A value that takes long to compute can be a function without
            arguments; it is called only if results are stored.
        compute
            Function that returns the arrays; they must not contain Python objects.
        """
        if self.directory is None:
            return compute()
        values = {k: v() if callable(v) else v for k, v in inputs.items()}
        key = fingerprint(name, values, self.seed, ALGORITHM_VERSION)
        path = self.directory / f"{name}-{key}.npz"
        stored = read_arrays(path)
        if stored is None:
            stored = compute()
            self.directory.mkdir(parents=True, exist_ok=True)
            write_arrays(path, stored)
        return stored
