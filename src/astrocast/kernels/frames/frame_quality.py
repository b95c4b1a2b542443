"""Find frames that are not pictures of the tissue: black, repeated, saturated, a flash.

Each finder compares the statistics of a frame (`frame_statistics`) with those of the
recording. Light that appears or disappears within one frame, everywhere or in whole
rows, comes from a device; activity rises or falls more slowly, or in part of the field.
Changes that stay (a step of the laser's power, bleaching) are not flagged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.frames.frame_statistics import FrameStatistics

Bool = NDArray[np.bool_]
Real = NDArray[np.float64]

#: frames of this severity and above are left out
LEAVE_OUT = 0.5
#: a frame is black when it shows less than this share of the usual structure (or, where
#: the field is uniform, of the usual light)
BLACK = 0.15
#: ... and has less than this share of the usual contrast
OTHER = 0.4
#: a step of the light is real from this many standard deviations of a block's noise on,
#: in every block of a band
STEP = 5.0
#: ... and from this share of the light on (below, no later stage is harmed)
LEAST_STEP = 0.02
#: the light is back when no more than this share of the step is left, and still there
#: while at least this share is: activity decays between the two
#: least share of a pulse's height that its first and its last step have
ABRUPT = 0.5
BACK, THERE = 0.25, 0.6
#: values of which the statistics of blocks of a long recording are taken at a time
_COLUMN_VALUES = 1 << 18
#: longest flash, frames, and as a share of the recording
LONGEST, LONGEST_SHARE = 200, 0.3
#: longest flash at an end of the recording, frames
END_FRAMES = 5
#: share of pixels at the highest value, beyond the usual one, of a saturated frame
SATURATED = 0.2
#: above this share of repeated frames the frame rate is probably lower than stated
MOST_REPEATED = 0.25


class Flag(NamedTuple):
    """One problem of a frame; ``severity`` >= 0.5: leave the frame out."""

    frame: int
    kind: str
    reason: str
    severity: float


def judge_frames(stats: FrameStatistics) -> list[Flag]:
    """Return the problems of the frames of a whole recording, one flag per frame.

    Parameters
    ----------
    stats
        From `frame_statistics.measure_frames`, all frames of the recording.

    Returns
    -------
    list of Flag
        In the order of frames; frames without a flag are good. Kinds: ``missing``,
        ``black``, ``repeated``, ``saturated``, ``lost_lines``, ``flash``.
    """
    found: dict[int, Flag] = {}
    if len(stats) < 3:
        return []
    for finder in (find_missing, find_black, find_repeated, find_saturated, find_lines):
        for flag in finder(stats):
            found.setdefault(flag.frame, flag)
    taken = np.zeros(len(stats), bool)
    taken[[f.frame for f in found.values() if f.severity >= LEAVE_OUT]] = True
    for flag in find_flashes(stats, taken):
        found.setdefault(flag.frame, flag)
    return [found[t] for t in sorted(found)]


def find_missing(stats: FrameStatistics) -> Iterator[Flag]:
    """Yield frames in which most pixels that are usually numbers are not."""
    usual = float(np.median(stats.finite_share))
    for t in np.flatnonzero(stats.finite_share < 0.5 * usual):
        yield Flag(int(t), "missing", "most pixels are not numbers", 1.0)


def find_black(stats: FrameStatistics) -> Iterator[Flag]:
    """Yield frames taken without light: laser or detector off, or an empty frame."""
    n, blocks = len(stats), filled_blocks(stats)
    mean = blocks.mean(1)
    # not a higher percentile: a long event would count as usual
    usual = np.median(blocks, axis=0)
    contrast = usual - usual.mean()
    noise = block_noise(blocks)
    power = float(contrast @ contrast)
    light = mean / max(abs(usual.mean()), 1e-12)
    if power > 0 and np.sqrt((noise**2 * contrast**2).sum()) < 0.03 * power:
        share = (blocks - mean[:, None]) @ contrast / power
        # tissue that jumped, or another plane, shows another structure
        rest = blocks - mean[:, None]
        contrasts = np.sqrt((rest**2).mean(1) / (contrast**2).mean())
        share = np.where(contrasts < OTHER, share, 1.0)
        share = np.where(light < BLACK, np.minimum(share, light), share)
    else:
        share = light
    missing = usual.mean() - mean
    clear = missing > max(
        6 * float(spread_of(np.diff(mean))), LEAST_STEP * abs(usual.mean())
    )
    dark = (share < BLACK) & clear
    dark = abrupt_runs(dark, mean, missing)
    for t in np.flatnonzero(dark):
        yield Flag(
            int(t), "black", f"{max(share[t], 0):.0%} of the usual light or less", 1.0
        )
    # the shutter opens or closes within these
    for t in np.flatnonzero(dark):
        for near, beyond in ((t - 1, t - 2), (t + 1, t + 2)):
            if not (0 <= near < n and 0 <= beyond < n) or dark[near] or dark[beyond]:
                continue
            if mean[beyond] - mean[near] > 0.2 * (mean[beyond] - mean[t]) > 0:
                yield Flag(int(near), "black", "light is switched on or off", 1.0)


def abrupt_runs(dark: Bool, mean: Real, missing: Real) -> Bool:
    """Return the dark frames (frame,) of runs that begin and end within 3 frames."""
    out = np.zeros_like(dark)
    for start, stop in runs(dark):
        drops = []
        if start > 0:
            drops.append(mean[max(0, start - 3) : start].max() - mean[start])
        if stop < len(dark):
            drops.append(mean[stop : stop + 3].max() - mean[stop - 1])
        out[start:stop] = bool(drops) and min(drops) > 0.4 * missing[start:stop].mean()
    return out


def find_repeated(stats: FrameStatistics) -> Iterator[Flag]:
    """Yield frames that are copies of the frame before."""
    same = (stats.equal_rows == stats.rows) & (stats.flat_rows < stats.rows)
    share = same.mean()
    severity = 1.0 if share <= MOST_REPEATED else 0.3
    reason = "the same as the frame before"
    if share > MOST_REPEATED:
        reason += f", as {share:.0%} of all frames: is the frame rate right?"
    for t in np.flatnonzero(same):
        yield Flag(int(t), "repeated", reason, severity)


def find_saturated(stats: FrameStatistics) -> Iterator[Flag]:
    """Yield frames in which many more pixels than usual are at the highest value."""
    step = stats.step[np.isfinite(stats.step)]
    if np.median(stats.flat_rows) > 0 or (len(step) and not np.median(step) > 0):
        return  # without noise many pixels share a value
    ceiling = np.max(stats.top, where=np.isfinite(stats.top), initial=-np.inf)
    share = np.where(stats.top == ceiling, stats.top_share, 0)
    for t in np.flatnonzero(share > np.median(share) + SATURATED):
        reason = f"{share[t]:.0%} of the pixels are at {ceiling:g}"
        yield Flag(int(t), "saturated", reason, 1.0)


def find_lines(stats: FrameStatistics) -> Iterator[Flag]:
    """Yield frames with rows that are empty, or the same as in the frame before."""
    rows = int(stats.rows[0])
    whole = (stats.flat_rows == rows) | (stats.equal_rows == rows)
    for counts, what in (
        (stats.flat_rows, "have one value"),
        (stats.equal_rows, "are the same as in the frame before"),
    ):
        usual, wide = float(np.median(counts)), float(spread_of(counts))
        lost = counts - usual
        # a row of dim pixels may be all zero by chance
        many = lost > max(0.5 if wide == 0 else 2.0, 8 * wide)
        for t in np.flatnonzero(many & ~whole):
            reason = f"{int(lost[t])} rows {what}"
            yield Flag(
                int(t), "lost_lines", reason, 1.0 if lost[t] > 0.01 * rows else 0.4
            )


def find_flashes(stats: FrameStatistics, taken: Bool) -> Iterator[Flag]:
    """Yield frames with light that comes and goes at once, in the field or in bands.

    ``taken`` bool (frame,): frames already flagged; they are interpolated first.
    """
    blocks = bridge_rows(filled_blocks(stats), taken)
    _, bands, parts = stats.blocks.shape
    by_band = blocks.reshape(len(blocks), bands, parts)
    tall = -(-bands // 8)
    cuts = np.arange(0, bands, tall)
    # noise of a whole frame is lower: the same search with the field as one group
    whole = np.add.reduceat(by_band, cuts, axis=1)
    whole = whole / np.add.reduceat(np.ones(bands), cuts)[:, None]
    up = np.zeros((len(blocks), bands), bool)
    down = np.zeros_like(up)
    for groups in (by_band, whole.reshape(len(blocks), 1, -1)):
        brighter, darker = find_pulses(groups)
        up |= brighter
        down |= darker
    for marked, ends in zip((up, down), find_ends(blocks), strict=True):
        marked |= ends[:, None]
    for t in np.flatnonzero((up | down).any(1) & ~taken):
        n_up, n_down = int(up[t].sum()), int(down[t].sum())
        share = max(n_up, n_down) / bands
        if share <= 0.8 and is_of_the_field(by_band, int(t), (up | down)[t]):
            continue
        where = "the field" if share > 0.8 else f"{share:.0%} of the rows"
        if n_up >= n_down:
            yield Flag(int(t), "flash", f"{where} is brighter than before and after", 1)
        elif share > 0.8:
            yield Flag(int(t), "black", f"{where} is darker than before and after", 1)
        else:
            yield Flag(
                int(t), "lost_lines", f"{where} are darker than before and after", 1
            )


def is_of_the_field(values: Real, frame: int, marked: Bool) -> bool:
    """Return whether the rest of the field is as bright in a frame as the marked bands.

    Parameters
    ----------
    values
        (frame, band, block): mean light of blocks.
    frame
        The frame.
    marked
        bool (band,): bands with a pulse.

    Returns
    -------
    bool
        True where the light of the other bands changes at least half as much, compared
        with the 30 frames on each side: then the field as a whole decides, as an event
        of the whole field may look like a pulse in a few bands.
    """
    near = values[max(0, frame - 30) : frame + 31]
    change = (values[frame] - np.median(near, axis=0)).mean(axis=1)
    return bool(abs(np.median(change[~marked])) > 0.5 * abs(np.median(change[marked])))


def find_pulses(values: Real) -> tuple[Bool, Bool]:
    """Return where the light of a group steps up, or down, and comes back at once.

    Parameters
    ----------
    values
        (frame, group, block): mean light of blocks. All blocks of a group must agree.

    Returns
    -------
    brighter, darker
        bool (frame, group).
    """
    n, groups, _ = values.shape
    out = np.zeros((2, n, groups), bool)
    if n < 3:
        return out[0], out[1]
    noise = block_noise(values)
    direction = step_directions(values, noise)
    longest = max(1, min(LONGEST, int(LONGEST_SHARE * n)))
    pulses = []
    for kind, sign in enumerate((1, -1)):
        with_it = direction == sign
        # tissue that moves makes some blocks brighter and others darker
        agreed = with_it.sum((1, 2)) > 5 * (direction == -sign).sum((1, 2))
        for t, g in np.argwhere(with_it.all(2) & agreed[:, None]):
            length = _pulse_length(values[:, g], t, sign, noise[g], longest)
            if length:
                pulses.append((length, int(t), int(g), kind))
    used = np.zeros((n, groups), bool)
    for length, t, g, kind in sorted(pulses):
        # a step belongs to one pulse: between two flashes it is not dark
        if not used[[t, t + length], g].any():
            used[[t, t + length], g] = True
            out[kind, t + 1 : t + 1 + length, g] = True
    if groups > 1:
        out[0] &= with_neighbours(out[0])
        out[1] &= with_neighbours(out[1])
    return out[0], out[1]


def step_directions(values: Real, noise: Real) -> NDArray[np.int8]:
    """Return 1 where a block is clearly brighter than in the frame before, -1 darker.

    ``values`` (frame, group, block), ``noise`` (group, block): standard deviation of a
    block; the result is (frame - 1, group, block), 0 where the step is within noise.
    """
    least = LEAST_STEP * np.abs(np.median(values, axis=0))
    limit = np.maximum(np.maximum(STEP * np.sqrt(2) * noise, least), 1e-12)
    steps = np.diff(values, axis=0)
    return (steps > limit).astype(np.int8) - (steps < -limit).astype(np.int8)


def find_ends(blocks: Real) -> tuple[Bool, Bool]:
    """Mark the first or last frames where the light of the whole field differs.

    At most `END_FRAMES`: light that stays longer may be a step of the laser's power.
    ``blocks`` is (frame, block). The second result is of frames that are darker. After
    bleaching has begun, or within an event, the next step is not much smaller.
    """
    brighter, darker = np.zeros((2, len(blocks)), bool)
    if len(blocks) < 8:
        return brighter, darker
    noise = np.sqrt(2) * block_noise(blocks)
    level = np.abs(np.median(blocks, axis=0))
    for view, up, down in (
        (blocks, brighter, darker),
        (blocks[::-1], brighter[::-1], darker[::-1]),
    ):
        steps = view[: END_FRAMES + 2]
        steps = steps[:-1] - steps[1:]
        for length in range(1, len(steps)):
            step = steps[length - 1]
            others = np.abs(np.delete(steps[: length + 1], length - 1, axis=0))
            large = np.abs(step) > np.maximum(STEP * noise, 0.1 * level)
            # the light next to the run stays: it is not a flash that follows
            rest = view[length] - np.median(view[length : length + END_FRAMES * 8], 0)
            others = np.concatenate([others, np.abs(rest)[None]])
            once = (others < 0.2 * np.abs(step) + 3 * noise).all(axis=0)
            if (large & once).mean() > 0.9:
                up[:length], down[:length] = (step > 0).all(), (step < 0).all()
                break
    return brighter, darker


def with_neighbours(marked: Bool) -> Bool:
    """Return marked (frame, group) without groups that have no marked neighbour."""
    near = np.zeros_like(marked)
    near[:, 1:] |= marked[:, :-1]
    near[:, :-1] |= marked[:, 1:]
    return near | (marked.shape[1] < 8)


def _pulse_length(
    values: Real, before: int, sign: int, noise: Real, longest: int
) -> int:
    """Return for how many frames after ``before`` the light (frame, block) stays.

    0 where it does not come back at once: a lamp goes on and off between two frames, an
    event of the whole field rises over several and decays.
    """
    height = sign * (values[before + 1] - values[before])
    for length in range(1, min(longest, len(values) - before - 2) + 1):
        after = before + 1 + length
        rest = sign * (values[after] - values[before])
        # three of four blocks decide: an event may be in one
        if _in_most(np.abs(rest) <= BACK * height + 3 * noise):
            last = sign * (values[after - 1] - values[after])
            top = (sign * (values[before + 1 : after] - values[before])).max(axis=0)
            abrupt = (last >= ABRUPT * top - noise / 2) & (height >= ABRUPT * top)
            if before:  # what rises already is not at rest before the pulse
                rising = sign * (values[before] - values[before - 1])
                abrupt &= rising <= ABRUPT * height + 3 * noise
            return length if _in_most(abrupt) else 0
        if not _in_most(rest >= THERE * height - 3 * noise):
            return 0
    return 0


def _in_most(blocks: Bool) -> bool:
    """Return whether three of four blocks, (block,), are marked."""
    # `mean` of so few values takes ten times as long
    return bool(4 * np.count_nonzero(blocks) >= 3 * blocks.size)


def filled_blocks(stats: FrameStatistics) -> Real:
    """Return the block means as (frame, block), NaN replaced by the block's median."""
    blocks = stats.blocks.reshape(len(stats), -1).astype(np.float64)
    bad = ~np.isfinite(blocks)
    if bad.any():
        usual = np.zeros(blocks.shape[1])
        seen = ~bad.all(0)
        usual[seen] = np.nanmedian(np.where(bad, np.nan, blocks)[:, seen], axis=0)
        blocks = np.where(bad, usual, blocks)
    return blocks


def block_noise(values: Real) -> Real:
    """Return the standard deviation of each block (frame, ...) from its steps."""
    return _by_columns(lambda part: spread_of(np.diff(part, axis=0)), values) / np.sqrt(
        2
    )


def spread_of(values: NDArray[Any]) -> Real:
    """Return the robust standard deviation over frames (first axis)."""

    def spread(part: NDArray[Any]) -> Real:
        middle = np.median(part, axis=0)
        return np.asarray(1.4826 * np.median(np.abs(part - middle), axis=0))

    return _by_columns(spread, values)


def _by_columns(function: Callable[[NDArray[Any]], Real], values: NDArray[Any]) -> Real:
    """Return a statistic over frames (first axis), of a few columns at a time.

    The copies that it makes of a long recording's values are small.
    """
    flat = values.reshape(len(values), -1)
    count = max(1, _COLUMN_VALUES // max(1, len(flat)))
    parts = [
        np.asarray(function(flat[:, i : i + count]))
        for i in range(0, flat.shape[1], count)
    ]
    joined = np.concatenate(parts) if parts else np.empty(0)
    return np.asarray(joined.reshape(values.shape[1:]))


def bridge_rows(values: Real, bad: Bool) -> Real:
    """Return values (frame, ...) with those of bad frames interpolated over time."""
    if not bad.any() or bad.all():
        return values
    times, out = np.arange(len(values)), values.copy()
    for column in out.T:
        column[bad] = np.interp(times[bad], times[~bad], column[~bad])
    return out


def runs(marked: Bool) -> list[tuple[int, int]]:
    """Return (start, stop) of each run of marked frames (frame,).

    Examples
    --------
    >>> runs(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    edges = np.flatnonzero(
        np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8))
    )
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
