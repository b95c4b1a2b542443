"""Align sessions of one field of view; transfer regions and units between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis.units import Units
from astrocast.errors import InvalidValueError
from astrocast.io.stores.regions import Point, Region
from astrocast.kernels.event_features.recurrence import (
    compare_maps,
    pair_units,
)
from astrocast.kernels.registration.sessions import (
    Model,
    SessionMatch,
    carry_map,
    carry_points,
    match_sessions,
)

#: pixels of a unit's map, and their weights
Footprint = tuple[NDArray[np.int64], NDArray[np.float64]]


def align_sessions(
    means: Mapping[str, NDArray[np.floating]],
    reference: str | None = None,
    *,
    model: Model = "rigid",
    most_degrees: float = 10.0,
) -> dict[str, SessionMatch]:
    """Register the mean image of each session with that of a reference.

    Parameters
    ----------
    means
        Name of the session -> mean image (row, column); all with the same pixel size.
    reference
        Name of the reference; None: the first session.
    model
        ``"shift"``, ``"rigid"`` (shift and rotation), or ``"affine"`` (also scale and
        shear, for tissue that was compressed or changed over a long time).
    most_degrees
        Largest rotation that is searched.

    Returns
    -------
    dict
        Name of the session (including the reference) -> transform from the reference to
        the session, and its quality; see `kernels.registration.sessions`.

    Raises
    ------
    InvalidValueError
        Fewer than two sessions, or the reference is not one of them.

    Examples
    --------
    >>> day1 = np.random.default_rng(0).random((40, 40)).cumsum(axis=0) % 5
    >>> found = align_sessions({"day 1": day1, "day 2": np.roll(day1, 2, 1)})
    >>> abs(found["day 2"].matrix[:, 2]).round(1).tolist()
    [0.0, 2.0]
    """
    if len(means) < 2:
        raise InvalidValueError(
            f"found {len(means)} session(s); at least two are needed to align them"
        )
    base = next(iter(means)) if reference is None else reference
    if base not in means:
        raise InvalidValueError(
            f"the session {base!r} does not exist; choose from {', '.join(means)}"
        )
    same = SessionMatch(np.eye(2, 3), 1.0, 0.0, 0.0, 0.0, 1.0)
    return {
        name: same
        if name == base
        else match_sessions(means[base], mean, model, most_degrees)
        for name, mean in means.items()
    }


def describe_sessions(
    matches: Mapping[str, SessionMatch], shape: tuple[int, int]
) -> pd.DataFrame:
    """Return one row per session: transform and quality.

    Parameters
    ----------
    matches
        Result of `align_sessions`.
    shape
        Rows and columns of the reference.

    Returns
    -------
    pandas.DataFrame
        ``session``; ``shift_rows``, ``shift_columns`` (shift of the centre of the field
        in pixels), ``angle_deg`` (positive from rows to columns), ``scale_rows``,
        ``scale_columns``; ``correlation``, ``correlation_elsewhere``,
        ``correlation_by_chance``, ``residual_px``, ``overlap``, ``reliable``: see
        `kernels.registration.sessions.SessionMatch`.
    """
    middle = (np.array(shape) - 1) / 2
    rows = []
    for name, match in matches.items():
        linear = match.matrix[:, :2]
        shift = carry_points(middle[None], match.matrix)[0] - middle
        turn = np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])
        rows.append(
            {
                "session": name,
                "shift_rows": shift[0],
                "shift_columns": shift[1],
                "angle_deg": np.degrees(turn),
                "scale_rows": np.hypot(*linear[:, 0]),
                "scale_columns": np.hypot(*linear[:, 1]),
                "correlation": match.correlation,
                "correlation_elsewhere": match.elsewhere,
                "correlation_by_chance": match.chance,
                "residual_px": match.residual,
                "overlap": match.overlap,
                "reliable": match.reliable,
            }
        )
    return pd.DataFrame(rows)


def carry_regions(
    regions: Sequence[Region],
    match: SessionMatch,
    shape: tuple[int, int],
    *,
    least_inside: float = 0.5,
) -> tuple[list[Region], list[str]]:
    """Return the regions of the reference in another session.

    Parameters
    ----------
    regions
        Regions drawn in the reference.
    match
        Result of `align_sessions` for the other session.
    shape
        Rows and columns of the other session.
    least_inside
        Regions with less than this fraction inside the field of view are left out.

    Returns
    -------
    carried : list of Region
        The transformed regions, with the same names and kinds.
    left_out : list of str
        Names of the regions outside the field of view of the other session.
    """
    carried, left_out = [], []
    for region in regions:
        moved = replace(
            region,
            rings=tuple(_carry(ring, match) for ring in region.rings),
            points=_carry(region.points, match),
        )
        if _share_inside(moved, shape) >= least_inside:
            carried.append(moved)
        else:
            left_out.append(region.name)
    return carried, left_out


def _carry(points: Sequence[Point], match: SessionMatch) -> tuple[Point, ...]:
    """Return points (from the corner of the first pixel), in another session."""
    if not points:
        return ()
    moved = carry_points(np.array(points) - 0.5, match.matrix) + 0.5
    return tuple((float(r), float(c)) for r, c in moved)


def _share_inside(region: Region, shape: tuple[int, int]) -> float:
    """Return the fraction of a region that lies inside a field of view."""
    if not region.rings:
        places = np.array(region.points)
        return float(((places >= 0) & (places <= shape)).all(axis=1).mean())
    points = np.concatenate([np.array(ring) for ring in region.rings])
    low = np.floor(points.min(axis=0))
    size = np.ceil(points.max(axis=0) - low).astype(int) + 1
    rings = tuple(
        tuple((r - low[0], c - low[1]) for r, c in ring) for ring in region.rings
    )
    whole = replace(region, rings=rings).mask((int(size[0]), int(size[1])))
    return float(region.mask(shape).sum() / max(whole.sum(), 1))


def track_units(
    units: Mapping[str, Units],
    matches: Mapping[str, SessionMatch],
    *,
    reference: str | None = None,
    overlap: float = 0.4,
    least_events: int = 1,
) -> pd.DataFrame:
    """Match the functional units of several sessions.

    Parameters
    ----------
    units
        Name of the session -> result of `astrocast.analysis.units.find_units`.
    matches
        Result of `align_sessions` for these sessions.
    reference
        Name of the reference; None: the first session.
    overlap
        Two units of different sessions are the same unit if the cosine similarity of
        their maps, aligned with the reference, is at least this; 0 to 1.
    least_events
        Units with fewer events are left out.

    Returns
    -------
    pandas.DataFrame
        One row per unit and session: ``unit`` (the same number in all sessions),
        ``session``, ``unit_of_session`` (-1 without events), ``events``,
        ``rate_per_frame`` (NaN outside the field of view of the session),
        ``similarity`` to the unit in the session in which it was first found; ``row``,
        ``column`` (pixels of the reference).
    """
    if not 0 < overlap <= 1:
        raise InvalidValueError(
            f"overlap is {overlap}; give a number above 0 and at most 1"
        )
    base = next(iter(units)) if reference is None else reference
    if base not in units:
        raise InvalidValueError(
            f"the session {base!r} does not exist; choose from {', '.join(units)}"
        )
    shape = units[base].shape
    tracks: list[Footprint] = []
    rows: list[dict[str, float | str]] = []
    for name in (base, *(n for n in units if n != base)):
        found = units[name]
        chosen = np.flatnonzero(found.table["events"] >= least_events).tolist()
        maps = [_map_in_reference(found, u, matches[name], shape) for u in chosen]
        similarity = compare_maps(tracks, maps, shape[0] * shape[1])
        paired = dict(pair_units(similarity, overlap)[:, ::-1].tolist())
        for i, unit in enumerate(chosen):
            track = paired.get(i, len(tracks))
            score = float(similarity[track, i]) if i in paired else 1.0
            if i not in paired:
                tracks.append(maps[i])
            rows.append(_make_row(track, name, unit, found, score))
    return _add_absent(pd.DataFrame(rows), tracks, units, matches, shape)


def _map_in_reference(
    units: Units, unit: int, match: SessionMatch, shape: tuple[int, int]
) -> Footprint:
    return carry_map(
        units.pixels[unit], units.weights[unit], units.shape, match.matrix, shape
    )


def _make_row(
    track: int, session: str, unit: int, units: Units, similarity: float
) -> dict[str, float | str]:
    row = units.table.loc[unit].to_dict()
    return {
        "unit": track,
        "session": session,
        "unit_of_session": unit,
        "events": int(row["events"]),
        "rate_per_frame": float(row["rate_per_frame"]),
        "similarity": similarity,
    }


def _add_absent(
    table: pd.DataFrame,
    tracks: list[Footprint],
    units: Mapping[str, Units],
    matches: Mapping[str, SessionMatch],
    shape: tuple[int, int],
) -> pd.DataFrame:
    """Add rows for sessions in which a unit has no events, and the unit positions."""
    index = pd.MultiIndex.from_product(
        [range(len(tracks)), list(units)], names=["unit", "session"]
    )
    empty = pd.DataFrame(columns=["unit_of_session", "events", "rate_per_frame"])
    known = table if len(table) else empty.assign(unit=[], session=[], similarity=[])
    full = known.set_index(["unit", "session"]).reindex(index).reset_index()
    absent = full["events"].isna()
    place = np.array([_centre(track, shape) for track in tracks]).reshape(-1, 2)
    full[["row", "column"]] = place[full["unit"].to_numpy(int)]
    visible = np.ones(len(full), bool)
    for name, found in units.items():
        of_session = (full["session"] == name).to_numpy()
        points = full.loc[of_session, ["row", "column"]].to_numpy(float)
        moved = carry_points(points, matches[name].matrix)
        limit = np.array(found.shape) - 1
        visible[of_session] = ((moved >= 0) & (moved <= limit)).all(axis=1)
    full["unit_of_session"] = full["unit_of_session"].fillna(-1).astype(int)
    full.loc[absent & visible, ["events", "rate_per_frame"]] = 0.0
    return full


def _centre(track: Footprint, shape: tuple[int, int]) -> tuple[float, float]:
    pixels, weights = track
    if not len(pixels):
        return np.nan, np.nan
    row, column = np.divmod(pixels, shape[1])
    centre = np.average([row, column], axis=1, weights=weights)
    return float(centre[0]), float(centre[1])
