"""Arrays as plain values, for JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def plain(values: NDArray[Any]) -> list[float | None]:
    """Return values for JSON with six digits; None for NaN and infinity.

    Examples
    --------
    >>> plain(np.array([1 / 3, np.nan]))
    [0.333333, None]
    """
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values.tolist()]
