"""Identify results, to find out whether a stored result can be reused.

Two results are the same if the parameters, the content of the input and the version of
the algorithm are the same. Each stage declares an integer ``ALGORITHM_VERSION``. Raise
it in each change that changes results, but not for comments, messages, or a faster
computation of the same numbers.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import Recording
from astrocast.runtime.provenance import content_hash, plain

#: number of frames that are hashed to identify a recording in a file; the time of its
#: last change is compared as well
SAMPLE_FRAMES = 16


def fingerprint(*parts: Any) -> str:
    """Return a hash of values and arrays, 32 hexadecimal digits.

    Parameters
    ----------
    parts
        Arrays are hashed by dtype, shape and bytes; bytes directly; other values by
        their JSON text. The order of dictionary keys and of sets does not matter, nor
        whether a whole number is an int or a float, or a sequence a list or a tuple.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    >>> fingerprint(2) == fingerprint(2.0)
    True
    >>> fingerprint(1, 2) == fingerprint([1, 2])
    False
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            feed_array(digest, part)
            continue
        is_bytes = isinstance(part, bytes)
        text = part if is_bytes else _canonical(part)
        digest.update(f"|{'bytes' if is_bytes else 'json'}{len(text)}:".encode())
        digest.update(text)
    return digest.hexdigest()


def _canonical(value: Any) -> bytes:
    """Return the JSON text of a value; equal values have equal texts."""
    return json.dumps(_without_whole_floats(plain(value)), sort_keys=True).encode()


def _without_whole_floats(value: Any) -> Any:
    """Return plain values in which 2.0 is 2: both are the same parameter."""
    if isinstance(value, dict):
        return {k: _without_whole_floats(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_whole_floats(v) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def feed_array(digest: Any, array: NDArray[Any]) -> None:
    """Add dtype, shape and every value of an array to a hash of `hashlib`."""
    array = np.ascontiguousarray(array)
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.tobytes() if array.dtype.kind in "US" else array.data)


def describe_content(recording: Recording) -> dict[str, Any]:
    """Return values that identify the content of a recording.

    A recording in a file is identified by path, shape, dtype, time of the last change
    of the file, and a hash of 16 frames, because reading all of a 100 GB file would
    take longer than many stages. An array in memory is identified by a hash of all its
    values.
    """
    described: dict[str, Any] = {
        "loc": recording.loc,
        "shape": list(recording.shape),
        "dtype": str(recording.dtype),
    }
    if recording.path is None:
        return described | {"content": content_hash(recording)}
    frames = np.unique(
        np.linspace(0, recording.shape[0] - 1, SAMPLE_FRAMES).round().astype(int)
    )
    stat = recording.path.stat()
    return described | {
        "path": str(recording.path.resolve()),
        "modified": stat.st_mtime_ns,
        "content": fingerprint(*(recording.read(int(t), int(t) + 1) for t in frames)),
    }


def describe_result(
    parameters: dict[str, Any], recording: Recording, version: int
) -> dict[str, Any]:
    """Return the values that identify a result, as plain values for JSON."""
    return {
        "parameters": plain(parameters),
        "input": plain(describe_content(recording)),
        "algorithm_version": version,
    }


def list_differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return a line for each different entry: ``name was 1, is 2``."""
    names = sorted(before.keys() | now.keys())
    return [
        f"{n} was {before.get(n)!r}, is {now.get(n)!r}"
        for n in names
        if before.get(n) != now.get(n)
    ]


def compare_results(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return a line for each difference between two values of `describe_result`."""
    lines = []
    for part in ("parameters", "input"):
        lines += list_differences(before.get(part) or {}, now[part])
    versions = {"algorithm_version": before.get("algorithm_version")}
    return lines + list_differences(
        versions, {"algorithm_version": now["algorithm_version"]}
    )
