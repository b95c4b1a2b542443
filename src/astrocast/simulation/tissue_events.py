"""Events that follow the tissue: drawn, placed, and packed for rendering."""

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

#: footprints tried for an event, and starts tried for a footprint
PLACES, STARTS = 60, 12
#: times that all events are placed anew where one kind found no room
ATTEMPTS = 8
#: kinds that are placed first, as they need most room
LARGE = ("cell_wave", "wave", "repeats", "plateau", "several_peaks", "long_tail")
#: a footprint counts as taken where its weight is above this
TAKEN = 0.15


@dataclass(frozen=True)
class TissueDraft:
    """One event that follows the tissue.

    Parameters
    ----------
    kind
        One of `astrocast.settings.simulation_kinds.TISSUE_KINDS`.
    relative
        Amplitude as drawn, dF/F.
    footprint, course
        Where and how.
    start
        Frame at which its first pixel begins.
    group
        Number of the place it shares with other events, from 1; 0 for none.
    """

    kind: str
    relative: float
    footprint: Footprint
    course: Course
    start: float
    group: int = 0

    @property
    def interval(self) -> tuple[float, float]:
        """First and last frame at which the event is above a tenth of its peak."""
        latest = float(self.footprint.delay.max())
        return self.start, self.start + latest + self.course.length


class OccupiedSpace:
    """What is taken already, in space and time: keeps events apart.

    Parameters
    ----------
    shape
        Shape of the canvas.
    margin
        Pixels of the canvas around the frame.
    gap
        Pixels and frames that events keep from each other.
    """

    def __init__(self, shape: tuple[int, int], margin: int, gap: float) -> None:
        self.shape, self.margin, self.gap = shape, margin, gap
        self._taken: list[tuple[NDArray[np.bool_], float, float]] = []

    def copy(self) -> OccupiedSpace:
        """Return a copy; what it takes is not taken here."""
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
        """Whether a mask from ``start`` to ``stop`` keeps its distance."""
        for taken, first, last in self._taken:
            late, early = start - last > self.gap, first - stop > self.gap
            if not late and not early and (mask & taken).any():
                return False
        return True

    def take(self, mask: NDArray[np.bool_], start: float, stop: float) -> None:
        """Keep others away from a mask from ``start`` to ``stop``."""
        if self.gap > 0:
            far = ndimage.distance_transform_edt(~mask)
            mask = far <= self.gap
        self._taken.append((mask, start, stop))


def place_tissue_events(
    s: SimulationSettings, scene: Scene, formula: list[Any]
) -> list[TissueDraft]:
    """Return the tissue events beside events given by a formula, groups numbered on."""
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
    """Return the events of all tissue kinds, placed in free space.

    Whole-field events overlap with all others. Where a kind finds no room among those
    placed before it, all are placed anew with other draws, that kind first.

    Raises
    ------
    InvalidValueError
        One kind found no room in every attempt.
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
        f" {settings.separation:g}; ask for fewer or smaller events, a longer"
        " recording, or overlap=True"
    )


def _place_kinds(
    order: list[str],
    counts: dict[str, int],
    tissue: Tissue,
    taken: OccupiedSpace,
    streams: dict[str, np.random.Generator],
) -> tuple[list[TissueDraft], dict[str, int]]:
    """Return events placed kind after kind and their number of each kind.

    Ends at the first kind that finds no room.
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
    """Return one event, or the events of one place; none where there is no room."""
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
    """Return events one after the other in one place; one unless they repeat."""
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
    """Return the arrays that `kernels.rendering.tissue_events` describes."""
    if not drafts:
        return no_tissue_events()
    shapes = [draft.footprint for draft in drafts]
    courses = [draft.course.values for draft in drafts]
    return (
        _ends([len(f.row) for f in shapes]),
        np.concatenate([f.row for f in shapes]),
        np.concatenate([f.column for f in shapes]),
        np.concatenate([f.weight for f in shapes]),
        np.concatenate([f.delay for f in shapes]),
        _ends([len(c) for c in courses]),
        np.concatenate(courses),
        np.array([draft.start for draft in drafts], np.float64),
        np.asarray(amplitude, np.float64),
    )


def _ends(lengths: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def light_under(draft: TissueDraft, resting: NDArray[Any], margin: int) -> float:
    """Return the weighted mean of a canvas image over the footprint of an event."""
    f = draft.footprint
    values = resting[f.row + margin, f.column + margin]
    return float((values * f.weight).sum() / f.weight.sum())


def mark_formula_events(taken: OccupiedSpace, drafts: list[Any]) -> None:
    """Keep tissue events away from events that are given by a formula."""
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
