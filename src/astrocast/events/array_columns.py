"""Columns of the event table with one array per event: traces, masks, footprints.

For pandas they are ordinary columns; an element is a NumPy array. Internally, all
values of a column are one concatenated array; masks are packed bits, unpacked when an
element is read. A hundred thousand events are thus loaded, filtered and normalised as a
few large arrays, and kernels work on them without a Python object per event.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import (
    ExtensionArray,
    ExtensionDtype,
    register_extension_dtype,
)
from pandas.api.indexers import check_array_indexer

from astrocast.errors import InvalidTypeError, InvalidValueError
from astrocast.kernels.masks.packed_masks import Masks
from astrocast.kernels.ragged import ragged


@register_extension_dtype
class TraceDtype(ExtensionDtype):
    """A float array (frames,) per event."""

    name = "trace"
    type = np.ndarray
    na_value = None

    @classmethod
    def construct_array_type(cls) -> Any:
        """Return the array of this dtype."""
        return TraceArray


@register_extension_dtype
class MaskDtype(ExtensionDtype):
    """A bool array (frames, rows, columns) per event."""

    name = "mask"
    type = np.ndarray
    na_value = None

    @classmethod
    def construct_array_type(cls) -> Any:
        """Return the array of this dtype."""
        return MaskArray


@register_extension_dtype
class FootprintDtype(ExtensionDtype):
    """A bool array (rows, columns) per event."""

    name = "footprint"
    type = np.ndarray
    na_value = None

    @classmethod
    def construct_array_type(cls) -> Any:
        """Return the array of this dtype."""
        return FootprintArray


class _ArrayColumn(ExtensionArray):
    """Base of array columns: ``flat``, all values concatenated, and ``offsets``."""

    flat: NDArray[Any]
    offsets: NDArray[np.int64]
    _dtype: ClassVar[ExtensionDtype]

    # ----------------------------------------------------------------------------------
    # methods of each kind of column

    @classmethod
    def _from_items(cls, items: Sequence[Any]) -> Self:
        raise NotImplementedError

    def _item(self, index: int) -> NDArray[Any]:
        raise NotImplementedError

    def _taken(self, chosen: NDArray[np.int64]) -> Self:
        raise NotImplementedError

    def _copied(self) -> Self:
        raise NotImplementedError

    def _shared(self) -> Self:
        raise NotImplementedError

    def isna(self) -> NDArray[np.bool_]:
        """Whether each element is missing (has no values)."""
        raise NotImplementedError

    # ----------------------------------------------------------------------------------
    # methods that pandas calls

    @classmethod
    def _from_sequence(
        cls, scalars: Iterable[Any], *, dtype: Any = None, copy: bool = False
    ) -> Self:
        if isinstance(scalars, cls):
            return scalars.copy() if copy else scalars
        return cls._from_items(list(scalars))

    @property
    def dtype(self) -> ExtensionDtype:
        """Dtype of the column."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the values and their offsets."""
        return int(self.flat.nbytes + self.offsets.nbytes)

    def __len__(self) -> int:
        return int(self.offsets.size - 1)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, numbers.Integral):
            index = int(item)
            if not -len(self) <= index < len(self):
                raise IndexError(
                    f"row {index} is outside the column, which has {len(self)} rows"
                )
            return self._item(index % len(self))
        if isinstance(item, tuple) and len(item) == 2 and item[0] is Ellipsis:
            return self[item[1]]
        item = check_array_indexer(self, item)
        if isinstance(item, slice) and item == slice(None):
            return self._shared()
        chosen = np.arange(len(self), dtype=np.int64)[item]
        return self._taken(chosen)

    def __setitem__(self, key: Any, value: Any) -> None:
        if getattr(self, "_readonly", False):  # pandas 3 marks shared arrays
            raise InvalidValueError(
                "this column is read-only: its values belong to another table; copy the"
                " table first"
            )
        places = np.atleast_1d(np.arange(len(self))[check_array_indexer(self, key)])
        items: list[Any] = list(self)
        single = value is None or (
            isinstance(value, np.ndarray) and value.dtype != object
        )
        for place, item in zip(
            places, [value] * len(places) if single else value, strict=True
        ):
            items[place] = item
        self.__dict__.update(self._from_items(items).__dict__)

    def __iter__(self) -> Any:
        return (self._item(i) for i in range(len(self)))

    def __eq__(self, other: object) -> Any:
        if isinstance(other, (pd.Series, pd.Index, pd.DataFrame)):
            return NotImplemented
        if not isinstance(other, Sequence | np.ndarray | _ArrayColumn) or len(
            other
        ) != len(self):
            return np.zeros(len(self), bool)
        return np.array(
            [
                np.array_equal(a, b, equal_nan=True)
                for a, b in zip(self, other, strict=True)
            ],
            bool,
        )

    def take(
        self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None
    ) -> Self:
        """Return the chosen elements; with ``allow_fill``, -1 is a missing element."""
        chosen = np.asarray(indices, np.int64)
        lowest = -1 if allow_fill else -len(self)
        if chosen.size and (chosen.min() < lowest or chosen.max() >= len(self)):
            if allow_fill and chosen.min() < lowest:
                raise ValueError(f"index {chosen.min()} is below -1, a missing element")
            raise IndexError(
                f"rows {chosen.min()} to {chosen.max()} are outside the column, which"
                f" has {len(self)} rows"
            )
        if not allow_fill:
            chosen = np.where(chosen < 0, chosen + len(self), chosen)
        return self._taken(chosen)

    def copy(self) -> Self:
        """Return a copy that shares no memory."""
        return self._copied()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        out = np.empty(len(self), object)
        for i, item in enumerate(self):
            out[i] = item
        return out

    def to_numpy(
        self, dtype: Any = None, copy: bool = False, na_value: object = None
    ) -> NDArray[Any]:
        """Return an object array of the elements."""
        return self.__array__()

    def _cast_pointwise_result(self, values: Any) -> Any:
        # pandas would cast the result of `map` to the dtype of the column, but a number
        # per trace is not a trace
        return pd.Series(list(values)).array

    def _formatter(self, boxed: bool = False) -> Callable[[Any], str]:
        return lambda item: f"{'x'.join(map(str, item.shape))} {item.dtype}"

    def _values_for_factorize(self) -> tuple[NDArray[Any], Any]:
        raise InvalidTypeError(
            "events cannot be grouped or sorted by a column of arrays; choose a column"
            " of numbers or text"
        )


class TraceArray(_ArrayColumn):
    """A trace per event; ``flat`` is float32 or float64."""

    _dtype = TraceDtype()

    def __init__(self, flat: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        self.flat, self.offsets = flat, offsets

    @classmethod
    def _from_items(cls, items: Sequence[Any]) -> Self:
        return cls(
            *ragged.flatten(
                [np.empty(0, np.float32) if _is_missing(i) else i for i in items]
            )
        )

    def _item(self, index: int) -> NDArray[Any]:
        return self.flat[self.offsets[index] : self.offsets[index + 1]]

    def _taken(self, chosen: NDArray[np.int64]) -> Self:
        return type(self)(*ragged.take(self.flat, self.offsets, chosen))

    def _copied(self) -> Self:
        return type(self)(self.flat.copy(), self.offsets.copy())

    def _shared(self) -> Self:
        return type(self)(self.flat, self.offsets)

    def __iter__(self) -> Any:
        return iter(ragged.split(self.flat, self.offsets))

    def isna(self) -> NDArray[np.bool_]:
        """Whether each trace is empty."""
        return np.diff(self.offsets) == 0

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        lengths = np.concatenate([np.diff(c.offsets) for c in to_concat])
        return cls(
            np.concatenate([c.flat for c in to_concat]), ragged.offsets_of(lengths)
        )

    def __arrow_array__(self, type: Any = None) -> Any:
        import pyarrow as pa

        kind = pa.LargeListArray if self.offsets[-1] >= 2**31 else pa.ListArray
        offsets = pa.array(
            self.offsets, pa.int64() if kind is pa.LargeListArray else pa.int32()
        )
        return kind.from_arrays(offsets, pa.array(self.flat))


class MaskArray(_ArrayColumn):
    """A mask per event as packed bits (``flat``), of ``shapes`` (events, axes)."""

    _dtype: ClassVar[ExtensionDtype] = MaskDtype()
    _axes = 3

    def __init__(
        self,
        flat: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        shapes: NDArray[np.int64],
    ) -> None:
        self.flat, self.offsets, self.shapes = flat, offsets, shapes

    @classmethod
    def _from_items(cls, items: Sequence[Any]) -> Self:
        arrays = [
            np.zeros((0,) * cls._axes, bool) if _is_missing(i) else np.asarray(i)
            for i in items
        ]
        wrong = [a.shape for a in arrays if a.ndim != cls._axes]
        if wrong:
            raise InvalidValueError(
                f"expected {cls._dtype.name}s with {cls._axes} axes, found one of the"
                f" shape {wrong[0]}"
            )
        packed = [
            np.packbits(a.astype(bool), axis=None, bitorder="little") for a in arrays
        ]
        shapes = np.array([a.shape for a in arrays], np.int64).reshape(
            len(arrays), cls._axes
        )
        flat = np.concatenate(packed) if packed else np.empty(0, np.uint8)
        return cls(flat, ragged.offsets_of([p.size for p in packed]), shapes)

    def _item(self, index: int) -> NDArray[np.bool_]:
        bits = self.flat[self.offsets[index] : self.offsets[index + 1]]
        shape = self.shapes[index]
        return (
            np.unpackbits(bits, count=int(shape.prod()), bitorder="little")
            .view(np.bool_)
            .reshape(shape)
        )

    def _taken(self, chosen: NDArray[np.int64]) -> Self:
        shapes = np.vstack([self.shapes, np.zeros((1, self._axes), np.int64)])[chosen]
        return type(self)(*ragged.take(self.flat, self.offsets, chosen), shapes)

    def _copied(self) -> Self:
        return type(self)(self.flat.copy(), self.offsets.copy(), self.shapes.copy())

    def _shared(self) -> Self:
        return type(self)(self.flat, self.offsets, self.shapes)

    def isna(self) -> NDArray[np.bool_]:
        """Whether each mask is empty."""
        return np.asarray(self.shapes.prod(axis=1) == 0)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        lengths = np.concatenate([np.diff(c.offsets) for c in to_concat])
        shapes = np.concatenate([c.shapes for c in to_concat])
        return cls(
            np.concatenate([c.flat for c in to_concat]),
            ragged.offsets_of(lengths),
            shapes,
        )

    @property
    def masks(self) -> Masks:
        """The column as an argument of kernels; a footprint is a mask of one frame."""
        lead = np.ones((len(self), 3 - self._axes), np.int64)
        return Masks(self.flat, self.offsets, np.hstack([lead, self.shapes]))

    def __arrow_array__(self, type: Any = None) -> Any:
        import pyarrow as pa

        bits = pa.py_buffer(np.ascontiguousarray(self.flat))
        large = self.offsets[-1] >= 2**31
        places = pa.py_buffer(self.offsets if large else self.offsets.astype(np.int32))
        kind = pa.large_binary() if large else pa.binary()
        return pa.Array.from_buffers(kind, len(self), [None, places, bits])


class FootprintArray(MaskArray):
    """A footprint per event as packed bits, of ``shapes`` (events, 2)."""

    _dtype = FootprintDtype()
    _axes = 2


def _is_missing(item: Any) -> bool:
    return item is None or item is pd.NA or (isinstance(item, float) and np.isnan(item))


def as_traces(column: Any) -> TraceArray:
    """Return a column as a `TraceArray`.

    ``column``: a packed column (returned unchanged), or one of arrays or lists.

    >>> as_traces([[1, 2], [3]]).offsets
    array([0, 2, 3])
    """
    array = getattr(column, "array", column)
    return array if isinstance(array, TraceArray) else TraceArray._from_sequence(array)


def as_masks(column: Any) -> MaskArray:
    """Return a column as a `MaskArray`.

    ``column``: a packed column (returned unchanged), or one of bool arrays (frames,
    rows, columns).
    """
    array = getattr(column, "array", column)
    return array if type(array) is MaskArray else MaskArray._from_sequence(array)
