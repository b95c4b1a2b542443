"""Conversion of dtypes that saturates instead of wrapping round."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.errors import InvalidValueError


def can_clip(source: DTypeLike, target: DTypeLike) -> bool:
    """Return whether values of ``source`` may be outside the integers of ``target``."""
    return np.dtype(target).kind in "iu" and not np.can_cast(source, target, "safe")


def saturate(values: NDArray[Any], dtype: DTypeLike) -> tuple[NDArray[Any], int]:
    """Return ``values`` as ``dtype`` and how many were clipped to its range.

    Integers are rounded to the nearest, halves to the even one. NaN has no integer and
    no truth value and is refused; NaN and infinity pass from float to float. A bool is
    true from 0.5 on.

    Parameters
    ----------
    values
        Any shape and any real dtype; not changed.
    dtype
        bool, integer or float.

    Returns
    -------
    converted : numpy.ndarray
        Of ``dtype``; ``values`` itself where it has that dtype already.
    clipped : int
        Number of values outside the range of an integer ``dtype``.

    Raises
    ------
    InvalidValueError
        NaN is to become an integer or a bool.

    Examples
    --------
    >>> import numpy as np
    >>> saturate(np.array([-3.0, 1.6, 300.0]), "uint8")
    (array([  0,   2, 255], dtype=uint8), 2)
    """
    target = np.dtype(dtype)
    if values.dtype == target:
        return values, 0
    if values.dtype.kind == "f" and target.kind in "biu":
        missing = int(np.isnan(values).sum())
        if missing:
            raise InvalidValueError(
                f"{missing} values are NaN, which {target} cannot hold; choose a float"
                " dtype, or fill them first"
            )
    if target.kind == "b":
        return values >= 0.5, 0
    if not can_clip(values.dtype, target):
        return values.astype(target), 0
    limits = np.iinfo(target)
    if values.dtype.kind == "f":
        # float16 ends at 65504, below the limits of most integers
        values = np.rint(values, dtype=np.result_type(values.dtype, np.float32))
        above = 2.0 ** (limits.bits - (limits.min < 0))  # float32 has no 2**31 - 1
        low, high = values < float(limits.min), values >= above
    else:
        low, high = values < limits.min, values > limits.max
    clipped = int(low.sum()) + int(high.sum())
    with np.errstate(invalid="ignore"):  # what does not fit is replaced below
        result = values.astype(target)
    if clipped:
        result[low], result[high] = limits.min, limits.max
    return result, clipped
