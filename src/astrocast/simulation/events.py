"""Events given by a formula: draw them, place them, set their amplitude."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.errors import InvalidValueError
from astrocast.kernels.rendering.formula_events import (
    PARAMETERS,
    TRUTH_LEVEL,
    single_event,
)
from astrocast.settings.simulation import SimulationSettings
from astrocast.settings.simulation_kinds import FORMULA_KINDS

#: number of places to try for an event before an error is raised
TRIES = 400
#: exponent of the footprint profile: between a Gaussian (2) and a plateau with an edge
EXPONENT = 3.0
#: fractions of their first distance at which the two events of a pair are tried
PULLS = (1.0, 0.9, 0.8, 0.7, 0.6)
#: an event ends when it has decayed to this fraction of its peak
TAIL = 0.01


@dataclass(frozen=True)
class Draft:
    """One drawn event.

    Parameters
    ----------
    kind
        Kind of the event.
    relative
        Drawn amplitude, dF/F.
    values
        Parameters by name.
    group
        Number that both events of a pair have; 0: the event is in no pair.
    """

    kind: str
    relative: float
    values: dict[str, float]
    group: int = 0

    @property
    def lobes(self) -> float:
        """Largest distance of the outline beyond the radius, as a fraction of it."""
        return sum(abs(self.values[f"lobe{k}"]) for k in (2, 3, 4))

    @property
    def active(self) -> float:
        """Frames from the start of the event to the start of the decay."""
        return self.values["growth"] + self.values["rise"] + self.values["plateau"]

    def interval(self) -> tuple[float, float]:
        """Return first and last time at which the event exceeds 10% of its peak."""
        return (
            self.values["start"],
            self.values["start"] + self.active + math.log(10) * self.values["decay"],
        )

    def track(self) -> NDArray[Any]:
        """Return points (row, column) along the path of the centre."""
        tau = np.linspace(0, self.active + math.log(4) * self.values["decay"], 8)[
            :, None
        ]
        v = self.values
        return np.array([[v["row"], v["column"]]]) + tau * np.array(
            [[v["row_speed"], v["column_speed"]]]
        )

    def radius_at(self, angle: float) -> float:
        """Return the radius of the footprint in a direction.

        The angle 0 is along the columns; it increases towards higher rows.
        """
        v = self.values
        lobes = sum(
            v[f"lobe{k}"] * math.cos(k * angle + v[f"phase{k}"]) for k in (2, 3, 4)
        )
        return v["radius"] * (1 + lobes)


def draw_events(
    settings: SimulationSettings, seed: np.random.SeedSequence
) -> list[Draft]:
    """Draw and place the events; only events meant to touch are within `separation`."""
    rng = np.random.default_rng(seed)
    placed: list[Draft] = []
    cycle, count = _order_kinds(settings)
    turn = 0
    while len(placed) < count:
        kind = cycle[turn % len(cycle)]
        turn += 1
        for _ in range(TRIES):
            group = [_draw(settings, kind, rng)]
            if kind == "touching" and len(placed) + 1 < count:
                group.append(_draw_partner(settings, group[0], turn, rng))
            if settings.overlap or _fits(group, placed, settings):
                if len(group) > 1:
                    group[1] = _pull_together(*group)
                number = turn if len(group) > 1 else 0
                placed.extend(replace(draft, group=number) for draft in group)
                break
        else:
            raise InvalidValueError(
                f"only {len(placed)} of {count} events fit into {settings.shape}"
                f" (frame, row, column) with a gap of {settings.separation:g}; use"
                " fewer or smaller events, a longer recording, or overlap=True"
            )
    return placed


def _order_kinds(settings: SimulationSettings) -> tuple[list[str], int]:
    """Return the formula kinds in drawing order, and the number of events."""
    counts = {k: n for k, n in settings.kind_counts.items() if k in FORMULA_KINDS}
    if settings.counts is None:
        return [k for k in settings.kinds if k in FORMULA_KINDS], sum(counts.values())
    turns = {k: (n + 1) // 2 if k == "touching" else n for k, n in counts.items()}
    return [k for k, n in turns.items() for _ in range(n)], sum(counts.values())


def _draw(settings: SimulationSettings, kind: str, rng: np.random.Generator) -> Draft:
    s = settings
    v = {
        name: float(rng.uniform(*getattr(s, name)))
        for name in ("radius", "rise", "plateau", "decay")
    }
    relative = float(rng.uniform(*s.amplitude))
    v |= {
        "exponent": EXPONENT,
        "row_speed": 0.0,
        "column_speed": 0.0,
        "growth": 0.0,
        "amplitude": relative,
    }
    for k in (2, 3, 4):
        v[f"lobe{k}"] = float(rng.uniform(-1, 1)) * s.irregularity / (k - 0.5)
        v[f"phase{k}"] = float(rng.uniform(0, 2 * math.pi))
    angle, speed, path = (
        float(x)
        for x in rng.uniform(
            (0, s.speed[0], s.path[0]), (2 * math.pi, s.speed[1], s.path[1])
        )
    )
    growth = float(rng.uniform(*s.growth))
    if kind == "growing":
        v["growth"] = growth
    elif kind == "travelling":
        v["row_speed"], v["column_speed"] = (
            speed * math.sin(angle),
            speed * math.cos(angle),
        )
        v["plateau"] = max(path / speed - v["rise"], 0.0)
    elif kind == "long":
        v["plateau"] = max(s.frames / 3 - v["rise"] - math.log(4) * v["decay"], 0.0)
    v["row"], v["column"], v["start"] = 0.0, 0.0, 0.0
    draft = Draft(kind, relative, v)
    lowest, highest = _find_room(draft, settings)
    v["start"], v["row"], v["column"] = (float(x) for x in rng.uniform(lowest, highest))
    v["end"] = draft.active - math.log(TAIL) * v["decay"]
    return draft


def _find_room(
    draft: Draft, settings: SimulationSettings
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the range of (start, row, column) that keeps the event in the recording.

    Return the middle of the recording for an event that does not fit.
    """
    reach = draft.values["radius"] * (1 + draft.lobes) + settings.border
    track = draft.track()
    size = np.array(settings.shape, np.float64)
    before = np.array([2.0, *(reach - track.min(0))])
    after = np.array([draft.interval()[1] + 2, *(reach + track.max(0))])
    lowest, highest = before, size - 1 - after
    tight = highest < lowest
    middle = np.maximum((lowest + highest) / 2, 0)
    return np.where(tight, middle, lowest), np.where(tight, middle, highest)


def _draw_partner(
    settings: SimulationSettings, first: Draft, turn: int, rng: np.random.Generator
) -> Draft:
    """Draw an event that touches ``first``.

    It is beside ``first`` at about the same time; every third pair is at the same
    place, one event after the other.
    """
    second = _draw(settings, "touching", rng)
    v, w = second.values, first.values
    angle = float(rng.uniform(0, 2 * math.pi))
    if turn % 3 == 2:
        distance = 0.3 * w["radius"]
        # it begins when the first event has decayed to a quarter of its peak
        v["start"] = w["start"] + first.active + math.log(4) * w["decay"] - 1
    else:
        distance = 0.95 * (first.radius_at(angle) + second.radius_at(angle + math.pi))
        v["start"] = w["start"] + float(rng.uniform(-1, 1)) * 0.5 * (
            first.active + w["decay"]
        )
    v["row"] = w["row"] + distance * math.sin(angle)
    v["column"] = w["column"] + distance * math.cos(angle)
    return second


def _pull_together(first: Draft, second: Draft) -> Draft:
    """Return ``second``, moved towards ``first`` until their true voxels touch.

    At first there may be a gap, because of irregular outlines or different times.
    """
    for closer in PULLS:
        values = dict(second.values)
        for name in ("row", "column", "start"):
            way = first.values[name] - second.values[name]
            values[name] = second.values[name] + (1 - closer) * way
        moved = replace(second, values=values)
        a, b = _find_true_voxels(first, moved)
        if (ndimage.binary_dilation(a, np.ones((3, 3, 3))) & b).any():
            break
    return moved


def _find_true_voxels(*drafts: Draft) -> list[NDArray[np.bool_]]:
    """Return the masks of the true voxels of events in one common box.

    True voxels are at least a quarter of the peak. Masks are bool (frame, row, column).
    """
    reach = max(d.values["radius"] * (1 + d.lobes) for d in drafts) + 2
    track = np.concatenate([d.track() for d in drafts])
    corner = np.floor(track.min(axis=0) - reach)
    high, wide = (np.ceil(track.max(axis=0) + reach) - corner).astype(int)
    times = np.array([d.interval() for d in drafts])
    begin = math.floor(times.min()) - 1
    level = np.ones(math.ceil(times.max()) + 2 - begin)
    masks = []
    for draft in drafts:
        values = draft.values | {"amplitude": 1.0}
        values["row"] -= corner[0]
        values["column"] -= corner[1]
        row = np.array([values[name] for name in PARAMETERS])
        seen = single_event(row, begin, level, (int(high), int(wide)))
        masks.append(np.asarray(seen >= np.float32(TRUTH_LEVEL) * seen.max()))
    return masks


def _fits(
    group: list[Draft], placed: list[Draft], settings: SimulationSettings
) -> bool:
    """Return whether the events are in the recording and away from all others."""
    for draft in group[1:]:
        lowest, highest = _find_room(draft, settings)
        place = np.array([draft.values[n] for n in ("start", "row", "column")])
        # the room is computed for a footprint in any rotation
        if np.any(place < lowest - 1e-9) or np.any(place > highest + 1e-9):
            return False
    return not any(_meet(a, b, settings.separation) for a in group for b in placed)


def _meet(a: Draft, b: Draft, gap: float) -> bool:
    (a0, a1), (b0, b1) = a.interval(), b.interval()
    if a1 + gap < b0 or b1 + gap < a0:
        return False
    apart = np.linalg.norm(a.track()[:, None] - b.track()[None], axis=2).min()
    reach = a.values["radius"] * (1 + a.lobes) + b.values["radius"] * (1 + b.lobes)
    return bool(apart < reach + gap)


def calibrate(
    drafts: list[Draft], settings: SimulationSettings, resting: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the parameters (event, parameter), with amplitudes in photons.

    ``resting`` is the baseline in photons (row, column). If the setting `photons` is
    given, an event has its drawn dF/F over the baseline at its place. Else it has the
    set SNR at its place.
    """
    smooth = ndimage.gaussian_filter(resting, sum(settings.radius) / 4)
    rows = np.empty((len(drafts), len(PARAMETERS)))
    for row, draft in zip(rows, drafts, strict=True):
        light = brightness_under(draft, smooth)
        amplitude = photons_of(settings, draft.relative, light)
        row[:] = [
            (draft.values | {"amplitude": amplitude})[name] for name in PARAMETERS
        ]
    return rows


def photons_of(settings: SimulationSettings, relative: float, light: float) -> float:
    """Return the photons at the peak of an event above a baseline of ``light`` photons.

    If the setting `photons` is given, ``relative`` is the dF/F of the event. Else its
    SNR is proportional to ``relative``; the middle of the range `amplitude` has the set
    SNR.
    """
    if settings.photons is not None:
        return relative * light
    middle = sum(settings.amplitude) / 2
    at_middle = (
        middle * settings.mean_photons / noise_of(settings, settings.mean_photons)
    )
    return at_middle * relative / middle * noise_of(settings, light)


def noise_of(settings: SimulationSettings, light: float) -> float:
    """Return the sd of the noise in photons at ``light`` expected photons."""
    return math.hypot((light * settings.excess) ** 0.5, settings.read_noise)


def brightness_under(draft: Draft, smooth: NDArray[Any]) -> float:
    """Return the mean of a smoothed image along the track of an event."""
    track = np.clip(np.rint(draft.track()).astype(int), 0, np.array(smooth.shape) - 1)
    return float(smooth[track[:, 0], track[:, 1]].mean())
