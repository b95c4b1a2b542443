"""Conversion of dtypes that saturates instead of wrapping round."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.errors import InvalidValueError


def can_clip(source: DTypeLike, target: DTypeLike) -> bool:
    """Return whether a value of ``source`` can lie beyond the range of the integer type
    ``target``.
    """
    return np.dtype(target).kind in "iu" and not np.can_cast(source, target, "safe")


def saturate(values: NDArray[Any], dtype: DTypeLike) -> tuple[NDArray[Any], int]:
    """Return ``values`` as ``dtype`` and how many of them were clipped to its range.

    Integers are rounded to the nearest, halves to the even one. NaN has no integer and
    is refused; NaN and infinity pass from float to float.

    Examples
    --------
    >>> import numpy as np
    >>> saturate(np.array([-3.0, 1.6, 300.0]), "uint8")
    (array([  0,   2, 255], dtype=uint8), 2)
    """
    target = np.dtype(dtype)
    if values.dtype == target:
        return values, 0
    if not can_clip(values.dtype, target):
        return values.astype(target), 0
    limits = np.iinfo(target)
    if values.dtype.kind == "f":
        missing = int(np.isnan(values).sum())
        if missing:
            raise InvalidValueError(
                f"{missing} values are NaN, which {target} cannot hold; choose a float"
                " dtype"
            )
        values = np.rint(values)
    low, high = values < limits.min, values > limits.max
    clipped = int(low.sum()) + int(high.sum())
    with np.errstate(invalid="ignore"):  # what does not fit is replaced below
        result = values.astype(target)
    if clipped:
        result[low], result[high] = limits.min, limits.max
    return result, clipped
