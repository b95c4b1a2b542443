"""Repair wrong shifts, and find the frames whose shift cannot be trusted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.io.recording import Recording
from astrocast.io.stores.frame_quality import build_frame_table
from astrocast.kernels.frames.frame_quality import LEAVE_OUT
from astrocast.kernels.registration.engine import Estimate, Model, rigid_part
from astrocast.kernels.registration.piecewise import PiecewiseModel
from astrocast.kernels.registration.quality import NormalRange
from astrocast.kernels.registration.repair_shifts import (
    FAR,
    RepairedShifts,
    find_steps,
    find_suspects,
    follow_shift,
    mend_shifts,
    neighbour_shifts,
)
from astrocast.kernels.registration.robust_model import RobustModel
from astrocast.kernels.registration.sharpness import (
    find_changed_pattern,
    judge_sharpness,
)

#: a shift counts as repaired if it changed by more than this, pixels
REPAIRED_FROM = 0.1
#: number of suspicious frames that are read at a time
REPAIRED_TOGETHER = 16


def read_frames(recording: Recording, picked: NDArray[np.int64]) -> NDArray[Any]:
    """Return frames by number (increasing); consecutive ones are read together."""
    groups = np.split(picked, np.flatnonzero(np.diff(picked) > 1) + 1)
    out = np.empty((len(picked), *recording.shape[1:]), recording.dtype)
    place = 0
    for group in groups:
        out[place : place + len(group)] = recording.read(
            int(group[0]), int(group[-1]) + 1
        )
        place += len(group)
    return out


def repair_motion(
    recording: Recording, found: Estimate, model: Model, left_out: NDArray[np.bool_]
) -> tuple[Estimate, NDArray[np.bool_]]:
    """Return the estimate with wrong shifts replaced, and the frames that changed.

    Frames whose shift looks wrong are read again. Their shift is compared with no shift
    and with the shift of their neighbours; the shift that agrees best is used.
    """
    if len(found.shifts) < 2:  # nothing to compare with
        return found, np.zeros(len(left_out), bool)
    mended = _mend_suspects(recording, found, model, left_out)
    followed = _follow_neighbours(recording, mended, model, left_out)
    moved = np.abs(followed.shifts - found.shifts).max(axis=1)
    return followed, moved > REPAIRED_FROM


def _mend_suspects(
    recording: Recording, found: Estimate, model: Model, left_out: NDArray[np.bool_]
) -> Estimate:
    """Return the estimate with the best of several shifts for suspicious frames."""
    # tissue that repeats itself is found at the wrong place for as long as it stays
    suspects = np.union1d(
        _suspects_of(found, left_out), find_steps(found.shifts, left_out)
    )
    near = neighbour_shifts(found.shifts, left_out)
    robust, limit = _robust_of(model), rigid_part(model).limit
    changed = _Changes(found, model)
    for i in range(0, len(suspects), REPAIRED_TOGETHER):
        part = suspects[i : i + REPAIRED_TOGETHER]
        frames = read_frames(recording, part)
        result = mend_shifts(frames, found.shifts[part], near[part], robust, limit)
        for k, t in enumerate(part):
            changed.take(int(t), result, k)
    return changed.estimate()


def _follow_neighbours(
    recording: Recording, found: Estimate, model: Model, left_out: NDArray[np.bool_]
) -> Estimate:
    """Return the estimate after walking through suspicious frames, from both sides.

    Where a search is wrong for many frames, those beside a frame are wrong as well: the
    walk goes on from a frame that was changed to the next.
    """
    robust, limit = _robust_of(model), rigid_part(model).limit
    changed = _Changes(found, model)
    suspects = np.union1d(
        _suspects_of(found, left_out), find_steps(found.shifts, left_out)
    )
    for step in (1, -1):
        for first in suspects[::step]:
            t = int(first)
            while 0 <= t < len(left_out):
                beside = _good_frame(t - step, -step, left_out)
                if beside is None or left_out[t]:
                    break
                own, start = changed.shifts[t], changed.shifts[beside]
                if np.abs(own - start).max() <= FAR:
                    break
                frame = recording.read(t, t + 1)[0]
                result = follow_shift(frame, own, start, robust, limit)
                if result is None:
                    break
                changed.take(t, result, 0)
                t += step
    return changed.estimate()


def _good_frame(start: int, step: int, left_out: NDArray[np.bool_]) -> int | None:
    """Return the first frame from ``start`` on that is not left out."""
    t = start
    while 0 <= t < len(left_out):
        if not left_out[t]:
            return t
        t += step
    return None


def _robust_of(model: Model) -> RobustModel:
    robust = rigid_part(model).robust
    assert robust is not None
    return robust


def _suspects_of(found: Estimate, left_out: NDArray[np.bool_]) -> NDArray[np.intp]:
    return find_suspects(
        found.shifts, found.correlation_before, found.correlation_after, left_out
    )


class _Changes:
    """An estimate whose frames are given other shifts one by one."""

    def __init__(self, found: Estimate, model: Model) -> None:
        self.found, self.piecewise = found, isinstance(model, PiecewiseModel)
        self.shifts, self.fields = found.shifts.copy(), found.fields.copy()
        self.before = found.correlation_before.copy()
        self.after = found.correlation_after.copy()
        self.sharpness = found.sharpness.copy()

    def take(self, t: int, result: RepairedShifts, k: int) -> None:
        """Give frame ``t`` the shift of the ``k``-th of some repaired frames."""
        shift = result.shifts[k]
        changed = bool((shift != self.shifts[t]).any())
        if changed:
            # patches deviate as those of the frames around do
            found, n = self.found, len(self.shifts)
            around = [k for k in (t - 1, t + 1) if 0 <= k < n]
            apart = found.fields[around] - found.shifts[around][:, :, None, None]
            self.fields[t] = shift[:, None, None] + apart.mean(0)
        self.shifts[t], self.sharpness[t] = shift, result.sharpness[k]
        # patches agree better than the rigid shift that was compared here
        if changed or not self.piecewise:
            self.before[t], self.after[t] = result.rest[k], result.after[k]

    def estimate(self) -> Estimate:
        """Return the estimate with all changes."""
        return replace(
            self.found,
            shifts=self.shifts,
            fields=self.fields,
            correlation_before=self.before,
            correlation_after=self.after,
            sharpness=self.sharpness,
        )


def judge_motion(
    found: Estimate,
    model: Model,
    normal: NormalRange,
    table: pd.DataFrame,
    repaired: NDArray[np.bool_],
    left_out: NDArray[np.bool_],
) -> pd.DataFrame:
    """Return the table of bad frames, extended by those found in this correction."""
    after, before = found.correlation_after, found.correlation_before
    usual = float(np.median(after))
    limit = np.array(rigid_part(model).limit)
    at_limit = (np.abs(found.shifts) >= limit - 1e-6) & (limit > 0)
    reached = np.asarray(at_limit.any(axis=1))
    untrusted = ~normal.trusts(after, found.clipped)
    blurred, share = judge_sharpness(found.sharpness, after, left_out)
    drifted = find_changed_pattern(after, share, left_out | untrusted)
    worse = after < before
    flags = list(table.itertuples(index=False, name=None))
    for t in np.flatnonzero(
        (untrusted | reached | repaired | worse | drifted | (blurred > 0)) & ~left_out
    ):
        agreement = (
            f"correlation with the template {after[t]:.2f}, usually {usual:.2f}"
            + (f", without shift {before[t]:.2f}" if worse[t] else "")
        )
        if blurred[t] >= LEAVE_OUT:
            flag = (*_describe_blur(share[t]), 1.0)
        elif untrusted[t]:
            flag = ("low_agreement", agreement, 1.0)
        elif reached[t]:
            flag = ("jump", "the shift reached max_shifts", 1.0)
        elif blurred[t] > 0:
            flag = (*_describe_blur(share[t]), 0.3)
        elif drifted[t]:
            flag = ("out_of_focus", f"{agreement}: slow change of the plane", 0.3)
        elif worse[t]:
            # with a usual correlation the fine structure agrees better with the shift
            flag = ("low_agreement", agreement, 0.3)
        else:
            flag = ("jump", "the first shift was replaced by a better one", 0.3)
        flags.append((int(t), *flag))
    return build_frame_table(flags, len(after))


def _describe_blur(share: float) -> tuple[str, str]:
    """Return kind and reason of a frame that is less sharp than usual."""
    reason = (
        f"{max(share, 0):.0%} of the usual fine structure: blurred, or in another plane"
    )
    return "out_of_focus", reason
