"""Normalise traces of unequal length, step by step.

A step subtracts a statistic or divides by it: one per trace, one per position in the
trace, or one of all traces. Statistics are computed in float64, without NaN; the traces
keep their dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads
from astrocast.kernels.ragged import ragged
from astrocast.kernels.ragged.ragged import (
    Floats,
    Offsets,
    divide_by_number,
    statistic_of,
    subtract_number,
)

Mode = Literal[
    "first",
    "mean",
    "median",
    "min",
    "min_abs",
    "max",
    "max_abs",
    "std",
    "std_mean",
    "std_median",
    "std_max",
]
Name = Literal["subtract", "divide", "diff", "impute_nan", "min_max", "mean_std"]

_OVER_POPULATION: dict[str, Callable[[Any], Any]] = {
    "first": np.mean,
    "mean": np.mean,
    "median": np.median,
    "min": np.min,
    "min_abs": lambda v: np.min(np.abs(v)),
    "max": np.max,
    "max_abs": lambda v: np.max(np.abs(v)),
    "std": np.std,
}
_OVER_DEVIATIONS: dict[str, Callable[[Any], Any]] = {
    "std_mean": np.mean,
    "std_median": np.median,
    "std_max": np.max,
}


@dataclass(frozen=True)
class Step:
    """One step of a normalisation.

    Parameters
    ----------
    name
        ``subtract`` a statistic, ``divide`` by it, ``min_max`` (subtract the minimum,
        then divide by the maximum), ``mean_std`` (subtract the mean, divide by the
        standard deviation), ``diff`` (difference from frame to frame, the first is 0),
        ``impute_nan`` (replace NaN).
    mode
        Statistic of ``subtract`` and ``divide``. ``std_mean``, ``std_median`` and
        ``std_max`` are the mean, median and maximum over traces of the standard
        deviation of each.
    population_wide
        One number for all traces: the statistic of all values together (``first``: the
        mean of all first values).
    rows
        True: a statistic per trace. False: a statistic per position in the trace, over
        the traces that have this position.
    fixed_value
        Value that ``impute_nan`` puts in place of NaN; None: linear interpolation.
    """

    name: Name
    mode: Mode = "min"
    population_wide: bool = False
    rows: bool = True
    fixed_value: float | None = None


def statistic(
    values: Floats,
    offsets: Offsets,
    mode: Mode,
    population_wide: bool = False,
    rows: bool = True,
) -> NDArray[np.float64]:
    """Return a statistic of each trace, or of each position, float64 (traces,)."""
    if not rows:
        values, offsets = ragged.by_position(values, offsets)
    if mode in _OVER_DEVIATIONS:
        each = ragged.reduce_each(values, offsets, "std")
        return np.full(each.size, _of_numbers(each, _OVER_DEVIATIONS[mode]))
    if not population_wide:
        return ragged.reduce_each(values, offsets, mode)
    pool = ragged.reduce_each(values, offsets, "first") if mode == "first" else values
    return np.full(offsets.size - 1, _of_numbers(pool, _OVER_POPULATION[mode]))


def _of_numbers(pool: Floats, function: Callable[[Any], Any]) -> float:
    """Return a statistic of the values that are not NaN; NaN if there are none."""
    numbers = pool[~np.isnan(pool)].astype(np.float64)
    return float(function(numbers)) if numbers.size else np.nan


def apply_step(values: Floats, offsets: Offsets, step: Step) -> tuple[Floats, int]:
    """Return the traces after one step, and the number of divisors that were 0.

    Traces (or positions) with a divisor of 0 stay undivided.

    >>> values, offsets = ragged.flatten([[1, 3], [4, 4]])
    >>> apply_step(values, offsets, Step("min_max"))
    (array([0., 1., 0., 0.], dtype=float32), 1)
    """
    if step.name == "diff":
        return ragged.difference(values, offsets), 0
    if step.name == "impute_nan":
        if step.fixed_value is None:
            return ragged.interpolate_nan(values, offsets), 0
        return (
            np.where(np.isnan(values), values.dtype.type(step.fixed_value), values),
            0,
        )
    zeros = 0
    for divides, mode in _parts(step):
        operand = statistic(values, offsets, mode, step.population_wide, step.rows)
        if divides:
            zeros += int(np.count_nonzero(operand == 0))
            values = ragged.divide(values, offsets, operand, not step.rows)
        else:
            values = ragged.subtract(values, offsets, operand, not step.rows)
    return values, zeros


@njit(cache=True, nogil=True)
def _subtract_in_place(trace: Floats, operand: float) -> None:
    """Subtract a number from a trace (values,), in place.

    ``trace`` float (frames,); ``operand`` a number or one per frame.
    """
    # one array, not two that might overlap: the compiler can use vector instructions
    for k in range(trace.size):
        trace[k] -= operand


@njit(cache=True, nogil=True)
def _divide_in_place(trace: Floats, operand: float) -> None:
    """Divide a trace (values,) by a number, in place.

    ``trace`` float (frames,); ``operand`` a number or one per frame.
    """
    for k in range(trace.size):
        trace[k] /= operand


@njit(cache=True, nogil=True)
def _normalize_each(
    lo: int,
    hi: int,
    values: Floats,
    offsets: Offsets,
    parts: NDArray[np.int64],
    out: Floats,
    zeros: NDArray[np.int64],
) -> None:
    """Apply steps to traces ``lo`` to ``hi - 1`` of ``values``, into ``out``.

    ``parts``, int64 (step, 2): 1 to divide or 0 to subtract, and the index of the
    statistic in `MODES`; ``zeros``, int64 (traces,), counts divisors of 0.
    """
    for i in range(lo, hi):
        source, trace = (
            values[offsets[i] : offsets[i + 1]],
            out[offsets[i] : offsets[i + 1]],
        )
        for j in range(len(parts)):
            # rounded to the dtype of the traces, as in `apply_step`
            operand = out.dtype.type(
                statistic_of(source if j == 0 else trace, parts[j, 1])
            )
            divides = parts[j, 0] == 1
            if divides and operand == 0:
                zeros[i] += 1
                operand = out.dtype.type(1)
            if j == 0 and divides:
                divide_by_number(source, operand, trace)
            elif j == 0:
                subtract_number(source, operand, trace)
            elif divides:
                _divide_in_place(trace, operand)
            else:
                _subtract_in_place(trace, operand)


def _is_per_trace(step: Step) -> bool:
    """Return whether a step needs single traces only, to subtract or divide."""
    alone = step.rows and not step.population_wide and step.mode not in _OVER_DEVIATIONS
    return step.name in ("subtract", "divide", "min_max", "mean_std") and alone


def apply_steps(
    values: Floats,
    offsets: Offsets,
    steps: Sequence[Step],
    pool: Executor | None = None,
) -> tuple[Floats, int]:
    """Return the traces after all steps, and the number of divisors that were 0.

    Steps that need one trace at a time are applied together, while the trace is in the
    processor's cache; the result equals that of `apply_step` for each.

    Parameters
    ----------
    values, offsets
        The traces.
    steps
        The steps, in order.
    pool
        Threads that share the work; the result does not depend on their number.
    """
    zeros = 0
    for together, group in groupby(steps, key=_is_per_trace):
        if not together:
            for step in group:
                values, found = apply_step(values, offsets, step)
                zeros += found
            continue
        parts = np.array(
            [
                (divides, ragged.MODES.index(mode))
                for s in group
                for divides, mode in _parts(s)
            ],
            np.int64,
        )
        out, counts = np.empty_like(values), np.zeros(offsets.size - 1, np.int64)
        run_in_threads(
            pool, offsets.size - 1, _normalize_each, values, offsets, parts, out, counts
        )
        values, zeros = out, zeros + int(counts.sum())
    return values, zeros


def _parts(step: Step) -> list[tuple[bool, Mode]]:
    """Return the operations of a step: whether it divides, and the statistic."""
    if step.name == "min_max":
        return [(False, "min"), (True, "max")]
    if step.name == "mean_std":
        return [(False, "mean"), (True, "std")]
    return [(step.name == "divide", step.mode)]
