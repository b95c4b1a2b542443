"""Results that are kept on disk under what they were computed from.

The name of a result is a fingerprint of everything it depends on: what was computed,
with which parameters, the content of the table and the recording, the seed, and the
version of the algorithms. A change of any of them is another name, so an old result
cannot be found by mistake, and a result that is found needs no check but that of its
own bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
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
        key = fingerprint(name, inputs, self.seed, ALGORITHM_VERSION)
        path = self.directory / f"{name}-{key}.npz"
        stored = read_arrays(path)
        if stored is None:
            stored = compute()
            self.directory.mkdir(parents=True, exist_ok=True)
            write_arrays(path, stored)
        return stored
