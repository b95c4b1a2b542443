"""Blocks of frames through the registration on the threads of this computer."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.kernels.registration.quality import agreement, clipped_share
from astrocast.kernels.registration.rigid import RigidModel, view_shifts
from astrocast.kernels.registration.view import view_frames
from astrocast.kernels.registration.warp import finish, shift_frames

#: frames a thread works on at a time: few enough to stay in its cache
BATCH = 8


@dataclass(frozen=True)
class Estimate:
    """What is known of a run of frames after they were compared with the template.

    Parameters
    ----------
    shifts
        (frame, 2), pixels.
    correlation_before, correlation_after
        (frame,), correlation of the raw and of the aligned view with the template.
    residual
        (frame,), pixels: displacement that is left.
    clipped
        (frame,), share of pixels at the frame's lowest or highest value.
    mean_before, mean_after
        (1, row, column): sum of the raw and of the aligned views.
    """

    shifts: NDArray[np.float64]
    correlation_before: NDArray[np.float64]
    correlation_after: NDArray[np.float64]
    residual: NDArray[np.float64]
    clipped: NDArray[np.float64]
    sum_before: NDArray[np.float64]
    sum_after: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Return one estimate of consecutive runs: frames one after the other, sums added."""
        joined = {
            f.name: sum(getattr(p, f.name) for p in parts)
            if f.name.startswith("sum_")
            else np.concatenate([getattr(p, f.name) for p in parts])
            for f in fields(cls)
        }
        return cls(**joined)


def threads_available() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class CpuEngine:
    """Estimates and applies shifts, batch by batch on a pool of threads; results do not depend on their number."""

    def __init__(self, model: RigidModel, threads: int | None = None) -> None:
        self.model = model
        self._pool = ThreadPoolExecutor(threads or threads_available(), thread_name_prefix="astrocast-motion")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True)

    def _batches(self, n: int, work: Callable[[slice], Any]) -> list[Any]:
        return list(self._pool.map(work, [slice(i, min(i + BATCH, n)) for i in range(0, n, BATCH)]))

    def estimate(self, frames: NDArray[Any]) -> Estimate:
        """Return the `Estimate` of a block of frames (frame, row, column)."""
        return Estimate.joined(self._batches(len(frames), lambda part: estimate(frames[part], self.model)))

    def apply(
        self, frames: NDArray[Any], shifts: NDArray[np.float64], dtype: DTypeLike, offset: float, nonnegative: bool
    ) -> NDArray[Any]:
        """Return the frames moved back, see `shift_frames` and `finish`."""
        out = np.empty(frames.shape, dtype)

        def work(part: slice) -> None:
            finish(shift_frames(frames[part], shifts[part]), offset, nonnegative, out[part])

        self._batches(len(frames), work)
        return out


def estimate(frames: NDArray[Any], model: RigidModel) -> Estimate:
    """Compare a few frames with the template."""
    seen = view_frames(frames, model.view)
    shifts = view_shifts(seen, model)
    aligned = shift_frames(seen, shifts / model.view.factor)
    before, _ = agreement(seen, model.template, model.window)
    after, residual = agreement(aligned, model.template, model.window)
    return Estimate(
        shifts,
        before,
        after,
        np.hypot(*residual.T) * model.view.factor,
        clipped_share(seen),
        seen.sum(0, dtype=np.float64)[None],
        aligned.sum(0, dtype=np.float64)[None],
    )
