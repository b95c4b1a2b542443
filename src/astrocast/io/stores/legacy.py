"""Event tables of astroCAST 0.4: ``events.npy``, a pickled dict in a NumPy file.

A pickle is a program, which an ordinary unpickler runs. This one allows only the names
with which arrays and numbers are created, and replaces each by a simple Python function
that creates arrays and numbers of simple types. All other names raise an error before
anything is called. The constructors of NumPy are not used, because forged data could
make them read foreign memory.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.events.array_columns import FootprintArray, MaskArray, TraceArray
from astrocast.events.schema import INDEX
from astrocast.io.stores.pickle_cost import check_hash_cost

LEGACY_TABLE = "events.npy"
_TRACES = ("trace", "noise_mask_trace")
_NUMBER_KINDS = "biufc"
#: largest depth of nested containers; a table has five levels (table, event, column,
#: list, array)
DEEPEST = 50


class _Dtype:
    """Replace `numpy.dtype`: a simple number, bool, text or Python objects."""

    def __init__(self, text: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(text, str) or (
            text != "O8" and np.dtype(text).kind not in _NUMBER_KINDS + "US"
        ):
            raise FormatError(
                f"the file contains an array of dtype {text!r}; only numbers and text"
                " can be read"
            )
        self.dtype = np.dtype(object) if text == "O8" else np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        order, subarray, names, fields = state[1:5]
        if (
            subarray is not None
            or names is not None
            or fields is not None
            or order not in ("<", ">", "|", "=")
        ):
            raise FormatError(
                "the file contains a structured array; only plain arrays can be read"
            )
        if order in "<>" and not self.dtype.hasobject:
            self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Replace `numpy.ndarray` during unpickling."""

    array: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, _Dtype) or not all(
            isinstance(n, int) and n >= 0 for n in shape
        ):
            raise FormatError("an array in the file is damaged")
        order = "F" if fortran else "C"
        if kind.dtype.hasobject:
            if not isinstance(data, list) or len(data) != math.prod(shape):
                raise FormatError("an array of objects in the file is damaged")
            flat = np.empty(len(data), object)
            for i, item in enumerate(data):
                flat[i] = item
        else:
            raw = data.encode("latin1") if isinstance(data, str) else data
            if (
                not isinstance(raw, bytes)
                or len(raw) != math.prod(shape) * kind.dtype.itemsize
            ):
                raise FormatError(
                    "an array in the file is damaged: its data do not fit its shape"
                )
            # convert to the native byte order, which kernels need
            flat = np.frombuffer(raw, kind.dtype).astype(kind.dtype.newbyteorder("="))
        self.array = flat.reshape(shape, order=order)  # type: ignore[call-overload] # "C" or "F"


def _reconstruct(kind: Any, shape: Any, typecode: Any) -> _Array:
    if kind is not _Array:
        raise FormatError(
            "the file contains an array of another class than numpy.ndarray"
        )
    return _Array()


def _scalar(kind: Any, data: Any = b"") -> Any:
    raw = data.encode("latin1") if isinstance(data, str) else data
    if (
        not isinstance(kind, _Dtype)
        or kind.dtype.hasobject
        or not isinstance(raw, bytes)
    ):
        raise FormatError("a number in the file is damaged")
    if len(raw) != kind.dtype.itemsize:
        raise FormatError("a number in the file is damaged")
    return np.frombuffer(raw, kind.dtype)[0]


def _frombuffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, kind, order == "F", bytes(data)))
    return array


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise FormatError("bytes in the file are damaged")
    return text.encode("latin1")


class _Constructor:
    """A function that a pickle can call but not change.

    A pickle could set attributes of an ordinary function.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise FormatError(
            "the file tries to change a function; it was not made by astroCAST 0.4"
        )


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Constructor(_encode),
    **{
        (f"numpy.{core}.multiarray", "_reconstruct"): _Constructor(_reconstruct)
        for core in ("core", "_core")
    },
    **{
        (f"numpy.{core}.multiarray", "scalar"): _Constructor(_scalar)
        for core in ("core", "_core")
    },
    **{
        (f"numpy.{core}.numeric", "_frombuffer"): _Constructor(_frombuffer)
        for core in ("core", "_core")
    },
}


class RestrictedUnpickler(pickle.Unpickler):
    """Load arrays, numbers, text and containers of them; refuse all other names."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of a name, or raise an error."""
        if (module, name) not in _KNOWN:
            raise FormatError(
                f"the file asks for {module}.{name}, which is neither an array nor a"
                " number; it was not made by astroCAST 0.4 and may be harmful. No code"
                " of it was run"
            )
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Raise an error for references to objects outside the file."""
        raise FormatError(
            "the file refers to objects outside itself; it was not made by"
            " astroCAST 0.4"
        )


class _PlainValues:
    """Convert the replacements to arrays and numbers, in limited time.

    A pickle can refer to the same list many times: a few hundred bytes of nested lists
    can expand to an astronomical number of items. A real table has at most one item per
    byte of its file.

    Parameters
    ----------
    budget
        Largest number of items.
    """

    def __init__(self, budget: int) -> None:
        self.left = budget

    def __call__(self, value: Any, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > DEEPEST:
            raise FormatError(
                "nested lists expand to more items than the file has bytes; it was not"
                " made by astroCAST 0.4"
            )
        deeper = depth + 1
        if isinstance(value, _Array):
            array = value.array
            if array is not None and array.dtype.hasobject:
                out = np.empty(array.shape, object)
                for place in np.ndindex(array.shape):
                    out[place] = self(array[place], deeper)
                return out
            return array
        if isinstance(value, dict):
            return {self(k, deeper): self(v, deeper) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self(v, deeper) for v in value)
        return value


def read_pickled_array(path: Path) -> Any:
    """Return the content of a NumPy file of pickled objects.

    For a 0-d array, its only object is returned.

    Raises
    ------
    FormatError
        The file is not a NumPy file, is damaged, or contains anything but arrays,
        numbers, text and containers of them. Code in the file is never run.
    """
    data = path.read_bytes()
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version[0] == 1
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
        if not dtype.hasobject:
            return np.load(io.BytesIO(data), allow_pickle=False)
        begin = file.tell()
        check_hash_cost(file, 16 * len(data))
        file.seek(begin)
        held = _PlainValues(len(data))(RestrictedUnpickler(file).load())
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except Exception as error:
        # a forged pickle can make the unpickler raise any error
        raise FormatError(
            f"{path} cannot be read as a table of astroCAST 0.4: {error}"
        ) from error
    return held[()] if isinstance(held, np.ndarray) and shape == () else held


def read_legacy_events(path: Path) -> pd.DataFrame:
    """Return an event table of astroCAST 0.4 with the columns of this version.

    The index (``event_id``) is the number of each event. Parts of divided events
    (``<number>_<part>``) get numbers after the largest one; ``name`` is their original
    name, ``part_of`` the number of the divided event.
    """
    held = read_pickled_array(path)
    if not isinstance(held, dict) or not all(
        isinstance(row, dict) for row in held.values()
    ):
        raise FormatError(
            f"{path} contains {type(held).__name__}; expected a dict with one dict per"
            " event"
        )
    names = [str(name) for name in held]
    rows = list(held.values())
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = pd.DataFrame(index=pd.Index(_numbers(names), name=INDEX))
    table["name"] = names
    table["part_of"] = [
        int(n.split("_")[0]) if "_" in n and n.split("_")[0].isdigit() else 0
        for n in names
    ]
    for column in columns:
        table[str(column)] = _column(str(column), rows, column)
    return table.sort_index()


def _numbers(names: list[str]) -> NDArray[np.int64]:
    """Return a number for each event: its name if this is a number, else a new one."""
    taken = [int(n) for n in names if n.isdigit()]
    following = iter(
        range(max(taken, default=0) + 1, max(taken, default=0) + len(names) + 1)
    )
    return np.array(
        [int(n) if n.isdigit() else next(following) for n in names], np.int64
    )


def _column(name: str, rows: list[dict[str, Any]], key: Any) -> Any:
    values = [row.get(key) for row in rows]
    if name in _TRACES:
        return TraceArray._from_sequence(
            [None if v is None else np.asarray(v, np.float32).ravel() for v in values]
        )
    if name in ("mask", "footprint"):
        sides = ("dz", "dx", "dy") if name == "mask" else ("dx", "dy")
        masks = [
            _mask_in_box(v, tuple(int(row[s]) for s in sides))
            for v, row in zip(values, rows, strict=True)
        ]
        return (MaskArray if name == "mask" else FootprintArray)._from_sequence(masks)
    if all(
        v is None or isinstance(v, (bool, int, float, np.number, np.bool_))
        for v in values
    ):
        numbers = np.array([np.nan if v is None else v for v in values])
        return numbers if numbers.dtype.kind in "biuf" else numbers.astype(np.float64)
    out = np.empty(len(values), object)
    for i, value in enumerate(values):
        out[i] = value
    return out


def _mask_in_box(value: Any, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    if value is None:
        return None
    array = np.asarray(value).astype(bool)
    if array.size != math.prod(shape):
        raise FormatError(
            f"a mask of {array.size} voxels does not fit its bounding box of {shape}"
        )
    return array.reshape(shape)
