"""Simulated studies with known effects: event tables only, or movies.

`simulate_cohort` draws the event tables of a whole study without movies, to check
statistics and analyses. `write_cohort` writes a movie for each recording, and the table
that `astrocast batch` reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import OutputExistsError
from astrocast.settings.simulation import SimulationSettings
from astrocast.settings.simulation_cohort import CohortSettings
from astrocast.simulation.storage import write_simulation

#: mean of each value of an event: dF/F, seconds, square micrometres
MEANS = {"peak_dff": 0.5, "duration_s": 4.0, "area_um2": 30.0}
#: event classes differ in the logarithm of these values, in these directions
CLASS_STEPS = np.array(
    [[0, 0, 0], [1, 1, 0], [0, -1, 1], [-1, 1, 1], [1, -1, -1], [-1, 0, -1]], float
)
KINDS = ("soma", "process", "endfoot")


@dataclass(frozen=True)
class SimulatedCohort:
    """The events of a study with their true properties.

    Parameters
    ----------
    settings
        Settings of the study.
    events
        One row per event: ``group``, ``subject``, ``recording``, ``day``; ``region``,
        ``region_kind``, ``unit``, ``event_class`` (numbers from 0 within a recording);
        ``stimulus`` (number of the stimulus that caused it, -1: none), ``follows``
        (unit whose event it follows, -1: none); ``onset_s``, ``peak_dff``,
        ``duration_s``, ``area_um2``; the box ``z0`` to ``y1`` with ``dz``, ``dx``,
        ``dy`` (frames, pixels), and ``v_area`` (voxels).
    recordings
        One row per recording: its labels, ``frames``, ``frame_rate``, ``pixel_size``,
        ``events`` and ``rate_per_min`` (true rate of all units together, without
        events that answer a stimulus or follow another unit).
    units
        One row per unit: ``recording``, ``region``, ``unit``, ``row``, ``column``
        (pixels), ``rate_per_min``, ``event_class``, ``leader`` (unit that it follows,
        -1: none), ``delay`` (frames), ``responds``.
    triggers
        Times of the stimuli in seconds, equal in all recordings.
    """

    settings: CohortSettings
    events: pd.DataFrame
    recordings: pd.DataFrame
    units: pd.DataFrame
    triggers: NDArray[np.float64]

    def masks(self, recording: str) -> pd.Series:
        """Return the mask of each event of a recording: a disc with its area.

        Masks are bool (dz, dx, dy); the index is that of `events`.
        """
        rows = self.events[self.events["recording"] == recording]
        return pd.Series([_disc(row) for row in rows.itertuples()], rows.index)


@dataclass(frozen=True)
class _Recording:
    """Labels and factors of one recording."""

    group: str
    subject: str
    name: str
    day: int
    factors: dict[str, float]
    seed: np.random.SeedSequence


def simulate_cohort(settings: CohortSettings | None = None) -> SimulatedCohort:
    """Draw the event tables of a study, without movies.

    Parameters
    ----------
    settings
        Settings of the study; None: the defaults.

    Examples
    --------
    >>> from astrocast.simulation.cohort import CohortSettings, simulate_cohort
    >>> made = simulate_cohort(CohortSettings(seed=1, effects={"rate": 2.0}))
    >>> per_minute = made.recordings.groupby("group")["rate_per_min"].mean()
    >>> bool(per_minute["treated"] > 1.4 * per_minute["control"])
    True
    """
    settings = settings or CohortSettings()
    interval = settings.stimulus_interval
    length = settings.frames / settings.frame_rate
    triggers = np.arange(interval, length - interval / 2, interval) if interval else ()
    times = np.asarray(triggers, np.float64)
    events, units, recordings = [], [], []
    for recording in _plan(settings):
        table, places = _draw_recording(settings, recording, times)
        events.append(table)
        units.append(places)
        recordings.append(
            {
                "recording": recording.name,
                "group": recording.group,
                "subject": recording.subject,
                "day": recording.day,
                "frames": settings.frames,
                "frame_rate": settings.frame_rate,
                "pixel_size": settings.pixel_size,
                "events": len(table),
                "rate_per_min": float(places["rate_per_min"].sum()),
            }
        )
    return SimulatedCohort(
        settings,
        pd.concat(events, ignore_index=True),
        pd.DataFrame(recordings),
        pd.concat(units, ignore_index=True),
        times,
    )


def _plan(settings: CohortSettings) -> Iterator[_Recording]:
    """Yield the recordings of a study with their factors."""
    s = settings
    seeds = iter(
        np.random.SeedSequence(s.seed).spawn(
            len(s.groups) * s.animals * (1 + s.recordings)
        )
    )
    values = ("rate", *MEANS, "response")
    effects = {str(name): factor for name, factor in s.effects.items()}
    for number, group in enumerate(s.groups):
        effect = {v: effects.get(v, 1.0) if number else 1.0 for v in values}
        for animal in range(s.animals):
            rng = np.random.default_rng(next(seeds))
            own = dict(zip(values, _draw_factors(rng, s.animal_sd, 5), strict=True))
            for day in range(1, s.recordings + 1):
                seed = next(seeds)
                rng = np.random.default_rng(seed.spawn(1)[0])
                noise = dict(
                    zip(values, _draw_factors(rng, s.recording_sd, 5), strict=True)
                )
                factors = {v: effect[v] * own[v] * noise[v] for v in values}
                # no spread between animals: the probability could exceed 1
                factors["response"] = effect["response"]
                subject = f"{group}-{animal + 1:02d}"
                name = f"{subject}-{day}"
                yield _Recording(group, subject, name, day, factors, seed)


def _draw_factors(rng: np.random.Generator, sd: float, n: int) -> NDArray[np.float64]:
    """Return log-normal factors with mean 1."""
    return np.exp(rng.normal(-0.5 * sd * sd, sd, n))


def _draw_recording(
    s: CohortSettings, recording: _Recording, triggers: NDArray[np.float64]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the events and the units of one recording."""
    rng = np.random.default_rng(recording.seed)
    units = _draw_units(s, recording, rng)
    onsets = _draw_onsets(s, recording, units, triggers, rng)
    table = _draw_values(s, recording, units, onsets, rng)
    length = s.frames / s.frame_rate
    inside = (table["onset_s"] >= 0) & (table["onset_s"] < length)
    table = table[inside].sort_values("onset_s", kind="stable", ignore_index=True)
    _add_boxes(table, units, s)
    return table, units


def _draw_units(
    s: CohortSettings, recording: _Recording, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the units of a recording: regions on a grid, units around centres."""
    n = s.regions * s.units
    region = np.repeat(np.arange(s.regions), s.units)
    side = math.ceil(math.sqrt(s.regions))
    pitch = np.array([s.rows, s.columns]) / side
    centre = (np.stack([region // side, region % side], 1) + 0.5) * pitch
    angle = rng.uniform(0, 2 * np.pi, s.regions)[region]
    turn = angle + 2 * np.pi * (np.arange(n) % s.units) / s.units
    away = 0.25 * pitch * np.stack([np.sin(turn), np.cos(turn)], 1)
    place = centre + (away if s.units > 1 else 0)
    leader = np.full(n, -1)
    delay = np.full(n, np.nan)
    order = rng.permutation(n)
    following = order[: min(round(s.followers * n), n // 2)]
    leader[following] = order[n // 2 : n // 2 + len(following)]
    delay[following] = rng.uniform(*s.delay, len(following))
    responds = rng.permutation(s.regions) < round(s.responders * s.regions)
    rate = s.rate * recording.factors["rate"] * _draw_factors(rng, s.unit_sd, n)
    return pd.DataFrame(
        {
            "recording": recording.name,
            "region": region,
            "region_kind": np.array(KINDS)[rng.integers(0, 3, s.regions)][region],
            "unit": np.arange(n),
            "row": place[:, 0],
            "column": place[:, 1],
            "rate_per_min": rate,
            "event_class": rng.permutation(n) % s.classes,
            "leader": leader,
            "delay": delay,
            "responds": responds[region] if len(responds) else False,
        }
    )


def _draw_onsets(
    s: CohortSettings,
    recording: _Recording,
    units: pd.DataFrame,
    triggers: NDArray[np.float64],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return ``unit``, ``onset_s``, ``stimulus``, ``follows`` of all events."""
    length = s.frames / s.frame_rate
    number = rng.poisson(units["rate_per_min"].to_numpy() * s.minutes)
    unit = np.repeat(np.arange(len(units)), number)
    onset, stimulus = rng.uniform(0, length, len(unit)), np.full(len(unit), -1)
    chance = min(s.response_probability * recording.factors["response"], 1.0)
    # the first unit of each responding region answers
    responds = units["responds"].to_numpy() & (units["unit"] % s.units == 0).to_numpy()
    answering = np.flatnonzero(responds)
    hit = rng.random((len(triggers), len(answering))) < chance
    late = rng.normal(s.latency, s.latency_sd, hit.shape)
    t, k = np.nonzero(hit)
    unit = np.concatenate([unit, answering[k]])
    onset = np.concatenate([onset, triggers[t] + late[t, k]])
    stimulus = np.concatenate([stimulus, t])
    parts = [(unit, onset, stimulus, np.full(len(unit), -1))]
    leaders, delays = units["leader"].to_numpy(), units["delay"].to_numpy()
    for follower in np.flatnonzero(leaders >= 0):
        led = onset[unit == leaders[follower]]
        led = led[rng.random(len(led)) < s.follow_probability]
        n, after = len(led), led + delays[follower] / s.frame_rate
        same = (np.full(n, v) for v in (follower, -1, leaders[follower]))
        own, none, leader = same
        parts.append((own, after, none, leader))
    columns = ("unit", "onset_s", "stimulus", "follows")
    joined = (np.concatenate(column) for column in zip(*parts, strict=True))
    return pd.DataFrame(dict(zip(columns, joined, strict=True)))


def _draw_values(
    s: CohortSettings,
    recording: _Recording,
    units: pd.DataFrame,
    onsets: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return the table of events with amplitude, duration and area."""
    unit = onsets["unit"].to_numpy()
    table = pd.DataFrame(
        {
            "group": recording.group,
            "subject": recording.subject,
            "recording": recording.name,
            "day": recording.day,
            "region": units["region"].to_numpy()[unit],
            "region_kind": units["region_kind"].to_numpy()[unit],
            "unit": unit,
            "event_class": units["event_class"].to_numpy()[unit],
            "stimulus": onsets["stimulus"],
            "follows": onsets["follows"],
            "onset_s": onsets["onset_s"],
        }
    )
    steps = s.separation * CLASS_STEPS[table["event_class"].to_numpy()]
    for k, (name, mean) in enumerate(MEANS.items()):
        of_unit = _draw_factors(rng, s.unit_sd, len(units))[unit]
        of_event = _draw_factors(rng, s.event_sd, len(unit))
        level = mean * recording.factors[name] * np.exp(steps[:, k])
        table[name] = level * of_unit * of_event
    return table


def _add_boxes(table: pd.DataFrame, units: pd.DataFrame, s: CohortSettings) -> None:
    """Add columns with the box and the volume of each event, in frames and pixels."""
    radius = np.sqrt(table["area_um2"].to_numpy() / np.pi) / s.pixel_size
    unit = table["unit"].to_numpy()
    start = np.floor(table["onset_s"].to_numpy() * s.frame_rate).astype(int)
    long = np.maximum(np.rint(table["duration_s"].to_numpy() * s.frame_rate), 1)
    boxes = {
        "z": (start, np.minimum(start + long.astype(int), s.frames)),
    }
    for axis, name, size in (("x", "row", s.rows), ("y", "column", s.columns)):
        centre = units[name].to_numpy()[unit]
        low = np.clip(np.floor(centre - radius).astype(int), 0, size - 1)
        high = np.clip(np.ceil(centre + radius).astype(int) + 1, 1, size)
        boxes[axis] = (low, high)
    for axis, (low, high) in boxes.items():
        table[f"{axis}0"], table[f"{axis}1"] = low, high
        table[f"d{axis}"] = high - low
    area = np.maximum(table["area_um2"].to_numpy() / s.pixel_size**2, 1)
    table["v_area"] = np.rint(area * table["dz"].to_numpy()).astype(int)


def _disc(row: Any) -> NDArray[np.bool_]:
    """Return the mask (dz, dx, dy) of an event: the same disc in each frame."""
    y, x = np.indices((row.dx, row.dy))
    middle = (row.dx - 1) / 2, (row.dy - 1) / 2
    radius = max(math.sqrt(row.v_area / row.dz / math.pi), 0.8)
    disc = np.hypot(y - middle[0], x - middle[1]) <= radius
    return np.repeat(disc[None], row.dz, axis=0)


def write_cohort(
    settings: CohortSettings,
    folder: str | Path,
    simulation: SimulationSettings | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a movie for each recording of a study, with its truth.

    Rate, amplitude, duration and area of the events in a movie depend on its group,
    animal and recording. Units, followers and stimuli exist only in the tables of
    `simulate_cohort`.

    Parameters
    ----------
    settings
        The study; its ``frames``, ``rows`` and ``columns`` apply to the movies.
    folder
        Folder for ``<recording>.h5`` with its truth (see `write_simulation`) and for
        ``study.csv``, the table that ``astrocast batch`` reads.
    simulation
        All other settings of the movies; None:
        ``SimulationSettings.preset("branches")``. Its number of events is that of a
        recording with factor 1.
    overwrite
        Replace existing files.

    Returns
    -------
    Path
        Path of ``study.csv``.

    Raises
    ------
    OutputExistsError
        The table or a movie exists and ``overwrite`` is False.
    """
    folder = Path(folder)
    base = simulation or SimulationSettings.preset("branches", snr=4.0)
    table = folder / "study.csv"
    if table.exists() and not overwrite:
        raise OutputExistsError(
            f"{table} exists; choose another folder or overwrite=True"
        )
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for recording in _plan(settings):
        made = movie_settings(settings, base, recording.factors, recording.seed)
        path = write_simulation(
            made, folder / f"{recording.name}.h5", truth=False, overwrite=overwrite
        )
        rows.append(
            {
                "recording": path.name,
                "group": recording.group,
                "subject": recording.subject,
                "day": recording.day,
                "frame_rate": settings.frame_rate,
                "pixel_size": settings.pixel_size,
            }
        )
    pd.DataFrame(rows).to_csv(table, index=False)
    return table


def movie_settings(
    settings: CohortSettings,
    base: SimulationSettings,
    factors: dict[str, float],
    seed: np.random.SeedSequence,
) -> SimulationSettings:
    """Return the settings of the movie of one recording of a study.

    The brightness is that of ``base``, so a larger amplitude increases both dF/F and
    the signal-to-noise ratio.
    """
    rng = np.random.default_rng(seed.spawn(2)[1])
    number = {
        kind: int(rng.poisson(n * factors["rate"]))
        for kind, n in base.kind_counts.items()
    }
    low, high = base.amplitude
    times = {
        name: tuple(factors["duration_s"] * t for t in getattr(base, name))
        for name in ("plateau", "decay", "long_plateau", "long_decay")
    }
    areas = {
        name: tuple(factors["area_um2"] * a for a in getattr(base, name))
        for name in ("domain_area", "patch_area")
    }
    values: dict[str, Any] = base.model_dump() | times | areas
    values |= {
        "seed": int(rng.integers(2**31)),
        "frames": settings.frames,
        "rows": settings.rows,
        "columns": settings.columns,
        "frame_rate": settings.frame_rate,
        "pixel_size": settings.pixel_size,
        "counts": number,
        "density": None,
        "snr": None,
        "photons": base.mean_photons,
        "amplitude": (factors["peak_dff"] * low, factors["peak_dff"] * high),
    }
    made: SimulationSettings = SimulationSettings.checked(**values)
    return made
