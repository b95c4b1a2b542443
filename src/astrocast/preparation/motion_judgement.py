"""Repair wrong shifts, and find the frames whose shift cannot be trusted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.io.recording import Recording
from astrocast.io.stores.frame_quality import build_frame_table
from astrocast.kernels.registration.engine import Estimate, Model, rigid_part
from astrocast.kernels.registration.piecewise import PiecewiseModel
from astrocast.kernels.registration.quality import NormalRange
from astrocast.kernels.registration.repair_shifts import (
    find_suspects,
    mend_shifts,
    neighbour_shifts,
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
    robust = rigid_part(model).robust
    assert robust is not None
    repaired = np.zeros(len(left_out), bool)
    suspects = find_suspects(
        found.shifts, found.correlation_before, found.correlation_after, left_out
    )
    if not len(suspects) or len(found.shifts) < 2:  # no neighbour to compare with
        return found, repaired
    near = neighbour_shifts(found.shifts, left_out)
    shifts, fields_ = found.shifts.copy(), found.fields.copy()
    before, after = found.correlation_before.copy(), found.correlation_after.copy()
    for i in range(0, len(suspects), REPAIRED_TOGETHER):
        part = suspects[i : i + REPAIRED_TOGETHER]
        result = mend_shifts(
            read_frames(recording, part),
            found.shifts[part],
            near[part],
            robust,
            rigid_part(model).limit,
        )
        moved = np.abs(result.shifts - found.shifts[part]).max(1)
        changed = moved > 0
        for t in part[changed]:
            # assume the same deviation of the patches as in the neighbouring frames
            near_t = [k for k in (t - 1, t + 1) if 0 <= k < len(shifts)]
            deviation = found.fields[near_t] - found.shifts[near_t][:, :, None, None]
            fields_[t] = result.shifts[part == t][0][:, None, None] + deviation.mean(0)
        shifts[part] = result.shifts
        # patches agree better than the rigid shift that is compared here: update the
        # correlations only where the shift changed
        used = changed if isinstance(model, PiecewiseModel) else slice(None)
        before[part[used]], after[part[used]] = result.rest[used], result.after[used]
        repaired[part] = moved > REPAIRED_FROM
    return (
        replace(
            found,
            shifts=shifts,
            fields=fields_,
            correlation_before=before,
            correlation_after=after,
        ),
        repaired,
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
    flags = list(table.itertuples(index=False, name=None))
    for t in np.flatnonzero(
        (untrusted | reached | repaired | (after < before)) & ~left_out
    ):
        frame = int(t)
        if untrusted[t] or after[t] < before[t]:
            reason = (
                f"correlation with the template {after[t]:.2f}, usually {usual:.2f}"
            )
            if after[t] < before[t]:
                reason += f", without shift {before[t]:.2f}"
            # with a usual correlation the fine structure agrees better with the shift
            severity = 1.0 if untrusted[t] else 0.3
            flags.append((frame, "low_agreement", reason, severity))
        elif reached[t]:
            flags.append((frame, "jump", "the shift reached max_shifts", 1.0))
        else:
            flags.append(
                (frame, "jump", "the first shift was replaced by a better one", 0.3)
            )
    return build_frame_table(flags, len(after))
