"""True events: their parameters, where and when they are, and the table of what they
are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.errors import InvalidValueError
from astrocast.kernels.rendering import (
    FLOOR,
    LN4,
    PARAMETERS,
    TRUTH_LEVEL,
    single_event,
)
from astrocast.settings.simulation import SimulationSettings

#: how many places are tried for an event before the recording counts as full
TRIES = 400
#: exponent of the footprint's fall: between a Gaussian (2) and a plateau with an edge
EXPONENT = 3.0
#: an event is followed until it has decayed to this share
TAIL = 0.01


@dataclass(frozen=True)
class Draft:
    """One event as drawn: parameters by name, in photons once `amplitude` is set."""

    kind: str
    relative: float  # amplitude as drawn, dF/F
    values: dict[str, float]

    @property
    def lobes(self) -> float:
        """How much farther than the radius the footprint can reach, as a share."""
        return sum(abs(self.values[f"lobe{k}"]) for k in (2, 3, 4))

    @property
    def active(self) -> float:
        """Frames from the start to when the decay begins."""
        return self.values["growth"] + self.values["rise"] + self.values["plateau"]

    def interval(self) -> tuple[float, float]:
        """First and last time at which the event is above a tenth of its peak."""
        return (
            self.values["start"],
            self.values["start"] + self.active + math.log(10) * self.values["decay"],
        )

    def track(self) -> NDArray[Any]:
        """Points (row, column) along which the centre moves."""
        tau = np.linspace(0, self.active + math.log(4) * self.values["decay"], 8)[
            :, None
        ]
        v = self.values
        return np.array([[v["row"], v["column"]]]) + tau * np.array(
            [[v["row_speed"], v["column_speed"]]]
        )

    def radius_at(self, angle: float) -> float:
        """Radius of the footprint in a direction (angle from the columns' axis towards
        growing rows).
        """
        v = self.values
        lobes = sum(
            v[f"lobe{k}"] * math.cos(k * angle + v[f"phase{k}"]) for k in (2, 3, 4)
        )
        return v["radius"] * (1 + lobes)


def draw_events(
    settings: SimulationSettings, seed: np.random.SeedSequence
) -> list[Draft]:
    """Draw the events and place them; those not meant to touch keep `separation`."""
    rng = np.random.default_rng(seed)
    placed: list[Draft] = []
    count = settings.event_count
    turn = 0
    while len(placed) < count:
        kind = settings.kinds[turn % len(settings.kinds)]
        turn += 1
        for _ in range(TRIES):
            group = [_draw(settings, kind, rng)]
            if kind == "touching" and len(placed) + 1 < count:
                group.append(_partner(settings, group[0], turn, rng))
            if settings.overlap or _fits(group, placed, settings):
                placed.extend(group)
                break
        else:
            raise InvalidValueError(
                f"only {len(placed)} of {count} events fit into {settings.shape}"
                f" (frame, row, column) with a gap of {settings.separation:g}; ask for"
                " fewer or smaller events, a longer recording, or overlap=True"
            )
    return placed


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
    lowest, highest = _room(draft, settings)
    v["start"], v["row"], v["column"] = (float(x) for x in rng.uniform(lowest, highest))
    v["end"] = draft.active - math.log(TAIL) * v["decay"]
    return draft


def _room(
    draft: Draft, settings: SimulationSettings
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Range of (start, row, column) for which the event lies within the recording; its
    middle where it cannot.
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


def _partner(
    settings: SimulationSettings, first: Draft, turn: int, rng: np.random.Generator
) -> Draft:
    """Return an event that touches ``first``: beside it at about its time, or (every
    third) after it at its place.
    """
    second = _draw(settings, "touching", rng)
    v, w = second.values, first.values
    angle = float(rng.uniform(0, 2 * math.pi))
    if turn % 3 == 2:
        distance = 0.3 * w["radius"]
        # begins where the first has decayed to a quarter
        v["start"] = w["start"] + first.active + math.log(4) * w["decay"] - 1
    else:
        distance = 0.95 * (first.radius_at(angle) + second.radius_at(angle + math.pi))
        v["start"] = w["start"] + float(rng.uniform(-1, 1)) * 0.5 * (
            first.active + w["decay"]
        )
    v["row"] = w["row"] + distance * math.sin(angle)
    v["column"] = w["column"] + distance * math.cos(angle)
    return second


def _fits(
    group: list[Draft], placed: list[Draft], settings: SimulationSettings
) -> bool:
    """Whether the events lie in the recording and away from all others."""
    for draft in group[1:]:
        lowest, highest = _room(draft, settings)
        place = np.array([draft.values[n] for n in ("start", "row", "column")])
        # the room is that of a footprint in any rotation; a partner may stick out a
        # little
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
    """Return the parameters (event, parameter) with amplitudes in photons.

    ``resting`` is the baseline in photons (row, column). With `photons` given an event
    has its drawn dF/F over the baseline under it; else the amplitude is such that the
    stated SNR holds at the event's own place.
    """
    smooth = ndimage.gaussian_filter(resting, sum(settings.radius) / 4)
    rows = np.empty((len(drafts), len(PARAMETERS)))
    middle = sum(settings.amplitude) / 2
    for row, draft in zip(rows, drafts, strict=True):
        light = brightness_under(draft, smooth)
        if settings.photons is not None:
            amplitude = draft.relative * light
        else:
            at_middle = (
                middle
                * settings.mean_photons
                / math.hypot(settings.mean_photons**0.5, settings.read_noise)
            )
            amplitude = (
                at_middle
                * draft.relative
                / middle
                * math.hypot(light**0.5, settings.read_noise)
            )
        row[:] = [
            (draft.values | {"amplitude": amplitude})[name] for name in PARAMETERS
        ]
    return rows


def brightness_under(draft: Draft, smooth: NDArray[Any]) -> float:
    """Mean of a smoothed image along the event's track."""
    track = np.clip(np.rint(draft.track()).astype(int), 0, np.array(smooth.shape) - 1)
    return float(smooth[track[:, 0], track[:, 1]].mean())


def trace_event(
    event: NDArray[np.float64], scale: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[float, int, NDArray[np.int64]]:
    """Return the peak of one event, the frame of its peak, and its true voxels as flat
    indices of the recording.

    Only the box around the event is rendered, some frames at a time. The peak is 0 and
    there are no voxels where the event lies outside the recording.
    """
    e = dict(zip(PARAMETERS, event, strict=True))
    first = max(math.floor(e["start"]), 0)
    last = min(math.ceil(e["start"] + e["end"]) + 1, len(scale))
    reach = e["radius"] * 2 * (-math.log(FLOOR) / LN4) ** (1 / e["exponent"])
    corners = np.array([[e["row"], e["column"]]]) + np.array([[0.0], [e["end"]]]) * [
        e["row_speed"],
        e["column_speed"],
    ]
    low = np.clip(np.floor(corners.min(0) - reach), 0, shape).astype(int)
    size = np.clip(np.ceil(corners.max(0) + reach) + 1, 0, shape).astype(int) - low
    moved = event.copy()
    moved[:2] -= low
    if last <= first or size.min() <= 0:
        return 0.0, first, np.empty(0, np.int64)
    depth = max(1, (4 << 20) // int(size.prod()))
    spans = [(a, min(a + depth, last)) for a in range(first, last, depth)]

    def render(span: tuple[int, int]) -> NDArray[Any]:
        return np.asarray(
            single_event(
                moved, span[0], scale[span[0] : span[1]], (int(size[0]), int(size[1]))
            )
        )

    frames = np.concatenate([render(span).max(axis=(1, 2)) for span in spans])
    peak = float(frames.max())
    if peak <= 0:
        return 0.0, first, np.empty(0, np.int64)
    found = []
    for span in spans:
        z, y, x = np.nonzero(render(span) >= np.float32(TRUTH_LEVEL * peak))
        found.append(((z + span[0]) * shape[0] + y + low[0]) * shape[1] + x + low[1])
    return peak, first + int(frames.argmax()), np.concatenate(found).astype(np.int64)


COLUMNS = (
    "event",
    "kind",
    "onset",
    "peak",
    "offset",
    "duration",
    "amplitude",
    "dff",
    "snr",
    "row",
    "column",
    "radius",
    "area",
    "volume",
    "speed",
    "direction",
    "rise",
    "plateau",
    "decay",
    "growth",
    "z0",
    "z1",
    "x0",
    "x1",
    "y0",
    "y1",
)


def describe_event(
    number: int,
    draft: Draft,
    found: tuple[float, int, NDArray[np.int64]],
    shape: tuple[int, int, int],
) -> dict[str, Any]:
    """Return the row of the table that follows from the event's parameters and voxels
    (see `Simulation.events`).
    """
    peak, frame, voxels = found
    z, rest = np.divmod(voxels, shape[1] * shape[2])
    x, y = np.divmod(rest, shape[2])
    v = draft.values
    speed = math.hypot(v["row_speed"], v["column_speed"])
    return {
        "event": number,
        "kind": draft.kind,
        "onset": int(z.min()),
        "peak": frame,
        "offset": int(z.max()),
        "duration": int(np.ptp(z)) + 1,
        "amplitude": peak,
        "row": float(x.mean()),
        "column": float(y.mean()),
        "radius": v["radius"],
        "area": len(np.unique(rest)),
        "volume": len(voxels),
        "speed": speed,
        "direction": math.degrees(math.atan2(v["row_speed"], v["column_speed"]))
        if speed
        else math.nan,
        **{name: v[name] for name in ("rise", "plateau", "decay", "growth")},
        "z0": int(z.min()),
        "z1": int(z.max()) + 1,
        "x0": int(x.min()),
        "x1": int(x.max()) + 1,
        "y0": int(y.min()),
        "y1": int(y.max()) + 1,
    }


def empty_table() -> pd.DataFrame:
    """Return the table of a recording without events: all columns, no rows."""
    return pd.DataFrame(
        {
            name: pd.Series(dtype=object if name == "kind" else np.float64)
            for name in COLUMNS
        }
    )
