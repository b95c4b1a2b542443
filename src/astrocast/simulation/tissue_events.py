"""Events that follow the tissue: draw them, place them, pack them for rendering."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.errors import InvalidValueError
from astrocast.kernels.rendering.tissue_events import SAMPLES, no_tissue_events
from astrocast.settings.simulation import SimulationSettings
from astrocast.settings.simulation_kinds import TISSUE_KINDS
from astrocast.simulation.courses import Course, draw_course
from astrocast.simulation.footprints import Footprint, Tissue, draw_footprint
from astrocast.simulation.scene import Scene
from astrocast.simulation.streams import seed_of

#: number of footprints to try for an event, and of starts to try for a footprint
PLACES, STARTS = 60, 12
#: number of attempts to place all events, if a kind does not fit
ATTEMPTS = 8
#: kinds that are placed first because they are large
LARGE = ("cell_wave", "wave", "repeats", "plateau", "several_peaks", "long_tail")
#: an event occupies the pixels with a weight above this
TAKEN = 0.15


@dataclass(frozen=True)
class TissueDraft:
    """One event that follows the tissue.

    Parameters
    ----------
    kind
        One of `astrocast.settings.simulation_kinds.TISSUE_KINDS`.
    relative
        Drawn amplitude, dF/F.
    footprint, course
        Pixels and time course.
    start
        Onset of the first pixel, in frames.
    group
        Number from 1 that all events at the same place have; 0: single event.
    """

    kind: str
    relative: float
    footprint: Footprint
    course: Course
    start: float
    group: int = 0

    @property
    def interval(self) -> tuple[float, float]:
        """First and last time at which the event exceeds 10% of its peak, in frames."""
        latest = float(self.footprint.delay.max())
        return self.start, self.start + latest + self.course.length


class OccupiedSpace:
    """Occupied pixels and times, to keep a distance between events.

    Parameters
    ----------
    shape
        Shape of the canvas.
    margin
        Margin of the canvas around the frame, in pixels.
    gap
        Smallest distance of events in pixels and in frames.
    """

    def __init__(self, shape: tuple[int, int], margin: int, gap: float) -> None:
        self.shape, self.margin, self.gap = shape, margin, gap
        self._taken: list[tuple[NDArray[np.bool_], float, float]] = []

    def copy(self) -> OccupiedSpace:
        """Return an independent copy."""
        other = OccupiedSpace(self.shape, self.margin, self.gap)
        other._taken = list(self._taken)
        return other

    def mask_of(self, footprint: Footprint) -> NDArray[np.bool_]:
        """Return the pixels of a footprint on the canvas."""
        mask = np.zeros(self.shape, bool)
        own = footprint.weight > TAKEN
        mask[footprint.row[own] + self.margin, footprint.column[own] + self.margin] = (
            True
        )
        return mask

    def is_free(self, mask: NDArray[np.bool_], start: float, stop: float) -> bool:
        """Return whether a mask from ``start`` to ``stop`` is free, with its gap."""
        for taken, first, last in self._taken:
            late, early = start - last > self.gap, first - stop > self.gap
            if not late and not early and (mask & taken).any():
                return False
        return True

    def take(self, mask: NDArray[np.bool_], start: float, stop: float) -> None:
        """Mark a mask from ``start`` to ``stop``, with its gap, as occupied."""
        if self.gap > 0:
            far = ndimage.distance_transform_edt(~mask)
            mask = far <= self.gap
        self._taken.append((mask, start, stop))


def place_tissue_events(
    s: SimulationSettings, scene: Scene, formula: list[Any]
) -> list[TissueDraft]:
    """Draw the tissue events; group numbers continue those of the formula events."""
    if not any(kind in TISSUE_KINDS for kind in s.kind_counts):
        return []
    taken = OccupiedSpace(scene.image.shape, scene.margin, s.separation)
    if not s.overlap:
        mark_formula_events(taken, formula)
    last = max((draft.group for draft in formula), default=0)
    return [
        replace(draft, group=draft.group + last) if draft.group else draft
        for draft in draw_tissue_events(
            s, Tissue(scene, s), taken, seed_of(s.seed, "tissue_events")
        )
    ]


def draw_tissue_events(
    settings: SimulationSettings, tissue: Tissue, taken: OccupiedSpace, seed: Any
) -> list[TissueDraft]:
    """Draw the events of all tissue kinds and place them in free space.

    Whole-field events overlap with all others. If the events of a kind do not fit, all
    events are drawn again, and that kind is placed first.

    Raises
    ------
    InvalidValueError
        The events did not fit in any attempt.
    """
    counts = {k: n for k, n in settings.kind_counts.items() if k in TISSUE_KINDS}
    kinds = sorted(counts, key=lambda kind: (kind not in LARGE, kind))
    order = kinds
    root = np.random.default_rng(seed)
    for _ in range(ATTEMPTS):
        streams = dict(zip(kinds, root.spawn(len(kinds)), strict=True))
        placed, made = _place_kinds(order, counts, tissue, taken.copy(), streams)
        short = [kind for kind in order if made[kind] < counts[kind]]
        if not short:
            return placed
        order = [short[0], *(kind for kind in order if kind != short[0])]
    raise InvalidValueError(
        f"only {made[order[0]]} of {counts[order[0]]} events of the kind {order[0]!r}"
        f" fit into {settings.shape} (frame, row, column) with a gap of"
        f" {settings.separation:g}; use fewer or smaller events, a longer"
        " recording, or overlap=True"
    )


def _place_kinds(
    order: list[str],
    counts: dict[str, int],
    tissue: Tissue,
    taken: OccupiedSpace,
    streams: dict[str, np.random.Generator],
) -> tuple[list[TissueDraft], dict[str, int]]:
    """Place the events kind by kind; return them and the number of each kind.

    Stop at the first kind that does not fit.
    """
    placed: list[TissueDraft] = []
    made = dict.fromkeys(order, 0)
    for kind in order:
        while made[kind] < counts[kind]:
            group = _place(
                kind, counts[kind] - made[kind], tissue, taken, streams[kind]
            )
            if not group:
                return placed, made
            number = 1 + max((d.group for d in placed), default=0)
            if len(group) > 1:
                group = [replace(draft, group=number) for draft in group]
            placed.extend(group)
            made[kind] += len(group)
    return placed, made


def _place(
    kind: str, most: int, tissue: Tissue, taken: OccupiedSpace, rng: np.random.Generator
) -> list[TissueDraft]:
    """Return one event or all events of one place; an empty list if none fits."""
    settings = tissue.settings
    free = settings.overlap or kind == "whole_field"
    for _ in range(PLACES):
        footprint = draw_footprint(kind, tissue, rng)
        course = draw_course(kind, settings, rng)
        if footprint is None:
            continue
        mask = taken.mask_of(footprint)
        for _ in range(STARTS):
            train = _draw_train(kind, most, footprint, course, settings, rng)
            if all(free or taken.is_free(mask, *draft.interval) for draft in train):
                for draft in train if not free else ():
                    taken.take(mask, *draft.interval)
                return train
    return []


def _draw_train(
    kind: str,
    most: int,
    footprint: Footprint,
    course: Course,
    settings: SimulationSettings,
    rng: np.random.Generator,
) -> list[TissueDraft]:
    """Draw the events of one place in order; only the kind repeats has several."""
    low, high = settings.repeats
    wanted = int(rng.integers(low, high + 1)) if kind == "repeats" else 1
    gaps = rng.uniform(settings.separation + 1, settings.separation + 25, wanted)
    courses = [course] + [draw_course(kind, settings, rng) for _ in range(wanted - 1)]
    relative = rng.uniform(*settings.amplitude, wanted)
    latest = float(footprint.delay.max())
    lengths = np.array([c.length for c in courses]) + latest
    begins = np.concatenate([[0.0], np.cumsum(lengths + gaps)[:-1]])
    fit = max(1, int((begins + lengths < settings.frames - 4).sum()))
    n = min(fit, most, wanted)
    room = settings.frames - 3 - (begins[n - 1] + lengths[n - 1])
    first = 2.0 + rng.random() * room if room > 0 else max(1.0, 2.0 + room / 2)
    return [
        TissueDraft(
            kind, float(relative[k]), footprint, courses[k], first + float(begins[k])
        )
        for k in range(n)
    ]


def pack_events(
    drafts: list[TissueDraft], amplitude: NDArray[np.float64]
) -> tuple[NDArray[Any], ...]:
    """Return the event arrays for `kernels.rendering.tissue_events`."""
    if not drafts:
        return no_tissue_events()
    shapes = [draft.footprint for draft in drafts]
    courses = [draft.course.values for draft in drafts]
    return (
        _add_lengths([len(f.row) for f in shapes]),
        np.concatenate([f.row for f in shapes]),
        np.concatenate([f.column for f in shapes]),
        np.concatenate([f.weight for f in shapes]),
        np.concatenate([f.delay for f in shapes]),
        _add_lengths([len(c) for c in courses]),
        np.concatenate(courses),
        np.array([draft.start for draft in drafts], np.float64),
        np.asarray(amplitude, np.float64),
    )


def _add_lengths(lengths: list[int]) -> NDArray[np.int64]:
    """Return the first index of each part, and the total length."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def light_under(draft: TissueDraft, resting: NDArray[Any], margin: int) -> float:
    """Return the weighted mean of an image of the canvas over a footprint."""
    f = draft.footprint
    values = resting[f.row + margin, f.column + margin]
    return float((values * f.weight).sum() / f.weight.sum())


def mark_formula_events(taken: OccupiedSpace, drafts: list[Any]) -> None:
    """Mark the space of formula events as occupied."""
    rows, columns = np.indices(taken.shape)
    for draft in drafts:
        reach = draft.values["radius"] * (1 + draft.lobes)
        mask = np.zeros(taken.shape, bool)
        for row, column in draft.track() + taken.margin:
            mask |= np.hypot(rows - row, columns - column) < reach
        taken.take(mask, *draft.interval())


def frames_of(draft: TissueDraft, frames: int) -> range:
    """Return the frames of the recording in which an event is above 0."""
    length = len(draft.course.values) / SAMPLES + float(draft.footprint.delay.max())
    first = max(math.floor(draft.start), 0)
    return range(first, min(math.ceil(draft.start + length) + 1, frames))
