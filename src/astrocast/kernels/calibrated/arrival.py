"""Merge hills into events: no dip between them, or reached by the same front.

Hills are joined in two steps. In the first, a border between two hills is opened where
it is hardly lower than both: what remains apart are the parts of an event. In the
second, a border may be lower where the onset goes on evenly across it: a front that
moves through tissue of varying brightness is one event, and so is what rises at the
same moment. Where the onset jumps, two hills stay apart however high the border is.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.calibrated.join_rule import JoinRule
from astrocast.kernels.calibrated.linked_lists import (
    append_list,
    collect_values,
    make_lists,
)
from astrocast.kernels.calibrated.transients import find_transients, onset_differences
from astrocast.kernels.compiling import njit
from astrocast.kernels.segmentation.watershed import Hills

#: share of a hill's and of a border's values that are its upper part
_UPPER = 0.25
#: onset differences that a border must have to be judged by them
_FEW = 4
#: a border is one in time where more than this share of its links joins frames of the
#: same pixel
_IN_TIME = 0.5
#: share of the lower hill's height from which a step in time counts as within one
#: transient
_COUNTS = 0.3
#: share of links within one transient from which two peaks follow each other
_SAME = 0.9
#: an onset difference counts at most so many frames in the mean with its sign
_CLIP = 2.0


def join_by_arrival(
    hills: Hills,
    voxels: NDArray[np.int64],
    values: NDArray[np.float32],
    noise: NDArray[np.float32],
    shape: tuple[int, int, int],
    rule: JoinRule,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the part and the event of each hill, each named by one of its hills.

    Parameters
    ----------
    hills
        Hills of the signal.
    voxels
        Flat indices into a volume, ascending, int64.
    values, noise
        Signal of each voxel and the standard deviation of its noise, float32.
    shape
        Of the volume, (frame, row, column).
    rule
        When a border is opened.

    Returns
    -------
    part, event : numpy.ndarray
        int32, (hill + 1,); entry 0 is not used. Each part lies in one event.
    """
    none = np.arange(len(hills.summit) + 1, dtype=np.int32)
    if not len(hills.links):
        return none, none.copy()
    size = shape[1] * shape[2]
    found = find_transients(voxels // size, hills.neighbours, values, noise)
    a, b, signed, in_row = onset_differences(
        voxels[found.peak] % size, hills.hill[found.peak], found.onset, shape[2]
    )
    same = found.of_voxel[hills.links[:, 0]] == found.of_voxel[hills.links[:, 1]]
    low = values[hills.links].min(axis=1)
    borders, of_link = _borders(hills)
    key = _key(np.stack([a, b], axis=1))
    place = np.minimum(np.searchsorted(_key(borders), key), len(borders) - 1)
    of_step = np.where(_key(borders)[place] == key, place, -1)
    inside = a == b
    crossing = of_step >= 0
    # differences across a border come to those inside once it is opened: one array
    difference = np.abs(signed)
    both = np.concatenate([difference[inside], difference[crossing]])
    head, tail, following = make_lists(a[inside].astype(np.int64), len(none))
    following = np.append(following, np.full(int(crossing.sum()), -1))
    return _join(
        (*make_lists(hills.hill.astype(np.int64), len(none)), values),
        (*make_lists(of_link, len(borders)), low, hills.in_time, same),
        (head, tail, following, both, int(inside.sum())),
        (
            *make_lists(of_step[crossing], len(borders)),
            difference[crossing],
            signed[crossing],
            in_row[crossing],
        ),
        _flow(a[inside], signed[inside], in_row[inside], len(none)),
        borders.astype(np.int64),
        np.concatenate([[0], values[hills.summit]]).astype(np.float32),
        np.concatenate([[0], noise[hills.summit]]).astype(np.float32),
        rule.numbers,
    )


def _flow(
    hill: NDArray[np.int32],
    signed: NDArray[np.float32],
    in_row: NDArray[np.bool_],
    count: int,
) -> NDArray[np.float64]:
    """Return sum and number of the differences inside hills, (hill, 4).

    In rows, then in columns.
    """
    limited = np.clip(signed, -_CLIP, _CLIP)
    columns = []
    for chosen in (in_row, ~in_row):
        own = hill[chosen]
        columns.append(np.bincount(own, limited[chosen], minlength=count))
        columns.append(np.bincount(own, minlength=count))
    return np.stack(columns, axis=1).astype(np.float64)


def _key(sides: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray((sides[:, 0].astype(np.int64) << 32) + sides[:, 1])


def _borders(hills: Hills) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of hills that touch, ascending, and the pair of each link."""
    sides = np.sort(hills.basin[hills.links], axis=1)
    key, of_link = np.unique(_key(sides), return_inverse=True)
    pairs = np.stack([key >> 32, key & 0xFFFFFFFF], axis=1)
    return pairs, of_link.astype(np.int64)


@njit(cache=True, nogil=True)
def _upper_mean(scratch: Any, n: Any) -> Any:
    """Return the mean of the upper quarter of ``scratch[:n]``, at least of one.

    ``scratch`` float32, reordered in place.
    """
    k = max(1, int(np.ceil(_UPPER * n)))
    if k == n:
        return scratch[:n].sum() / n
    return np.partition(scratch[:n], n - k)[n - k :].sum() / k


@njit(cache=True, nogil=True)
def _join(
    heights: Any,
    links: Any,
    inner: Any,
    across: Any,
    flow: Any,
    borders: Any,
    summit: Any,
    doubt: Any,
    rule: Any,
) -> Any:
    """Return part and event of each hill, int32, (hill + 1,).

    ``heights`` are lists of the values of each hill; ``links`` of the links of each
    border (height, in time, within one transient); ``inner`` and ``across`` of the
    onset differences of each hill and border. Each is (head, tail, next, values ...),
    see `linked_lists`. ``flow`` float64 (hill + 1, 4) is from `_flow`. ``borders``
    (border, 2), int64, are pairs of hills, the higher first; ``summit`` and ``doubt``
    height and noise of each summit, float32.
    """
    n_hills = len(summit)
    scratch = np.empty(
        max(len(heights[3]), len(links[3]), len(inner[3]), len(across[3])) + 1,
        np.float32,
    )
    name = np.arange(n_hills)
    sides = borders.copy()
    alive = np.ones(len(sides), np.bool_)
    top, pace = np.zeros(n_hills), np.zeros(n_hills)
    for h in range(1, n_hills):
        _measure(h, heights, inner, top, pace, scratch)
    # the borders of each hill
    near = [[0] for _ in range(n_hills)]
    for e in range(len(sides)):
        near[sides[e, 0]].append(e)
        near[sides[e, 1]].append(e)
    state = sides, alive, name, top, pace, flow
    fixed = summit, doubt, rule
    part = np.empty(n_hills, np.int32)
    event = np.empty(n_hills, np.int32)
    _open_borders(0, heights, links, inner, across, state, near, fixed, scratch)
    for h in range(n_hills):
        part[h] = _name_of(name, h)
    _open_borders(1, heights, links, inner, across, state, near, fixed, scratch)
    for h in range(n_hills):
        event[h] = _name_of(name, h)
    return part, event


@njit(cache=True, nogil=True)
def _open_borders(
    phase: Any,
    heights: Any,
    links: Any,
    inner: Any,
    across: Any,
    state: Any,
    near: Any,
    fixed: Any,
    scratch: Any,
) -> None:
    """Open borders, the shallowest first, until all that are left are deep enough.

    Arguments as in `_join`; ``phase`` is 0 for parts and 1 for events.
    """
    sides, alive, name, top, pace, flow = state
    summit, doubt, rule = fixed
    known = top, pace, summit, doubt, flow
    version = np.zeros(len(sides), np.int64)
    mark = np.full(len(summit), -1, np.int64)
    queue: Any = [(0.0, 0, -1)]
    queue.pop()
    for e in range(len(sides)):
        if alive[e]:
            s = _surplus(e, sides, links, across, known, rule, phase, scratch)
            if s < 0:
                queue.append((s, e, version[e]))
    heapq.heapify(queue)
    while len(queue):
        _, e, seen = heapq.heappop(queue)
        if not alive[e] or version[e] != seen:
            continue
        keep, gone = sides[e, 0], sides[e, 1]
        name[gone] = keep
        append_list(heights[0], heights[1], heights[2], keep, gone)
        append_list(inner[0], inner[1], inner[2], keep, gone)
        flow[keep] += flow[gone]
        _take_over(inner, across, flow, keep, e)
        alive[e] = False
        _measure(keep, heights, inner, top, pace, scratch)
        _merge_borders(keep, gone, near, sides, alive, links, across, mark)
        for k in range(1, len(near[keep])):
            o = near[keep][k]
            version[o] += 1
            s = _surplus(o, sides, links, across, known, rule, phase, scratch)
            if s < 0:
                heapq.heappush(queue, (s, o, version[o]))


@njit(cache=True, nogil=True)
def _name_of(name: Any, h: Any) -> Any:
    """Return the hill that gives its name to ``h``.

    ``name`` int64 (hill + 1,), shortened in place.
    """
    while name[h] != h:
        name[h] = name[name[h]]
        h = name[h]
    return h


@njit(cache=True, nogil=True)
def _measure(
    h: Any, heights: Any, inner: Any, top: Any, pace: Any, scratch: Any
) -> None:
    """Enter the height of a hill and the median onset difference inside it.

    ``top`` and ``pace`` float64 (hill + 1,) are filled at ``h``; ``scratch`` float32.
    """
    n = collect_values(heights[0], heights[2], heights[3], h, scratch)
    top[h] = _upper_mean(scratch, n) if n else 0.0
    n = collect_values(inner[0], inner[2], inner[3], h, scratch)
    pace[h] = np.median(scratch[:n]) if n else 0.0


@njit(cache=True, nogil=True)
def _take_over(inner: Any, across: Any, flow: Any, keep: Any, e: Any) -> None:
    """Append the onset differences across an opened border to those inside the hill.

    Both share one array of values and of next items; those across come second.

    The lists are those of `_join`: int64, values float32; ``flow`` float64.
    """
    i = across[0][e]
    while i >= 0:
        following = across[2][i]
        way = 0 if across[5][i] else 2
        flow[keep, way] += min(max(across[4][i], -_CLIP), _CLIP)
        flow[keep, way + 1] += 1
        inner_i = inner[4] + i
        inner[2][inner_i] = -1
        if inner[0][keep] < 0:
            inner[0][keep] = inner_i
        else:
            inner[2][inner[1][keep]] = inner_i
        inner[1][keep] = inner_i
        i = following
    across[0][e] = -1


@njit(cache=True, nogil=True)
def _merge_borders(
    keep: Any,
    gone: Any,
    near: Any,
    sides: Any,
    alive: Any,
    links: Any,
    across: Any,
    mark: Any,
) -> None:
    """Give the borders of ``gone`` to ``keep``; two with the same hill become one.

    ``near`` is the list of borders of each hill, ``sides`` int64 (border, 2), ``alive``
    bool (border,), ``mark`` int64 (hill + 1,); the lists are those of `_join`.
    """
    mine = [0]
    for k in range(1, len(near[keep])):
        e = near[keep][k]
        if alive[e]:
            other = sides[e, 0] + sides[e, 1] - keep
            mark[other] = e
            mine.append(e)
    for k in range(1, len(near[gone])):
        e = near[gone][k]
        if not alive[e]:
            continue
        other = sides[e, 0] + sides[e, 1] - gone
        if mark[other] >= 0:
            append_list(links[0], links[1], links[2], mark[other], e)
            append_list(across[0], across[1], across[2], mark[other], e)
            alive[e] = False
        else:
            sides[e, 0], sides[e, 1] = min(keep, other), max(keep, other)
            mark[other] = e
            mine.append(e)
    for k in range(1, len(mine)):
        e = mine[k]
        mark[sides[e, 0] + sides[e, 1] - keep] = -1
    near[keep] = mine
    near[gone] = [0]


@njit(cache=True, nogil=True)
def _mean_flow(flow: Any) -> Any:
    """Return the length of the mean onset difference with its direction.

    ``flow`` float64 (4,).
    """
    right = flow[0] / flow[1] if flow[1] >= _FEW else 0.0
    down = flow[2] / flow[3] if flow[3] >= _FEW else 0.0
    return np.sqrt(right * right + down * down)


@njit(cache=True, nogil=True)
def _surplus(
    e: Any,
    sides: Any,
    links: Any,
    across: Any,
    known: Any,
    rule: Any,
    phase: Any,
    scratch: Any,
) -> Any:
    """Return depth minus allowed depth of a border; below 0 it is opened.

    ``sides`` int64 (border, 2), ``known`` height and pace (float64), summit and noise
    (float32) and flow (float64) of each hill, ``rule`` float64; the lists are those of
    `_join`.
    """
    top, pace, summit, doubt, flow = known
    a, lower = sides[e, 0], sides[e, 1]
    least = max(min(top[a], top[lower]), 1e-30)
    n, in_time, counted, same = 0, 0, 0, 0
    highest = np.float32(-np.inf)
    i = links[0][e]
    while i >= 0:
        height = links[3][i]
        scratch[n] = height
        n += 1
        highest = max(highest, height)
        if links[4][i]:
            in_time += 1
            if height >= _COUNTS * least:
                counted += 1
                same += links[5][i]
        i = links[2][i]
    broad = 1 - (_upper_mean(scratch, n) + rule[2] * doubt[lower]) / least
    sharp = 1 - (highest + rule[3] * doubt[lower]) / summit[lower]
    share = in_time / n
    need = rule[0] + (rule[1] - rule[0]) * share
    m = collect_values(across[0], across[2], across[3], e, scratch)
    step = np.median(scratch[:m]) if m >= _FEW else -1.0
    ratio = step / max(pace[a], pace[lower], rule[11])
    in_one = share > _IN_TIME and counted > 0 and same >= _SAME * counted
    if not in_one and step >= 0 and ratio > rule[10]:
        return np.inf
    if phase == 1:
        moving = share <= _IN_TIME
        for h in (a, lower):
            moving &= pace[h] >= rule[8] or _mean_flow(flow[h]) >= rule[12]
        if in_one:
            need = max(need, rule[6])
        elif step >= 0 and moving and ratio <= rule[7]:
            need = max(need, rule[4])
        elif 0 <= step <= rule[9]:
            need = max(need, rule[5])
    return max(broad, sharp) - need
