"""A small movie with four known events, and disturbances of its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

Movie = NDArray[np.float64]
Change = Callable[[Movie], Movie | None]

#: peak frame, row, column
EVENTS = ((25, 16, 16), (60, 44, 20), (90, 20, 46), (120, 46, 46))
LATE_EVENTS = ((25, 16, 16), (60, 44, 20), (160, 20, 46), (200, 46, 46))
SIZE, FRAMES, MARGIN = 64, 160, 16


@dataclass(frozen=True)
class Variant:
    """One disturbance.

    Parameters
    ----------
    change
        Changes a movie (frame, row, column) in place, or returns another.
    bad
        Frames that have to be left out.
    shift
        (first frame, rows, columns): where the tissue jumps to, from this frame on.
    frames, events
        Length of the recording, and its events.
    pulled
        Whether the motion alone is what is wrong: the detection alone is not tried.
    near
        Frames beside ``bad`` that may be left out as well.
    """

    change: Change
    bad: Iterable[int] = ()
    shift: tuple[int, int, int] | None = None
    frames: int = FRAMES
    events: tuple[tuple[int, int, int], ...] = EVENTS
    pulled: bool = False
    tissue: str = "periodic"
    near: Iterable[int] = field(default=())


def draw_tissue(kind: str, size: int, rng: np.random.Generator) -> Movie:
    """Return tissue (row, column): "periodic" or "cells"."""
    y, x = np.mgrid[:size, :size].astype(float)
    if kind == "periodic":
        still = 400 * (1 + 0.25 * np.sin(x / 5) * np.cos(y / 7))
        return np.asarray(still + rng.normal(0, 15, (size, size)))
    still = np.full((size, size), 200.0)
    for _ in range(size * size // 150):
        cy, cx, sigma = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(1.5, 5)
        square = (y - cy) ** 2 + (x - cx) ** 2
        still += rng.uniform(100, 600) * np.exp(-square / (2 * sigma**2))
    return still


def draw_movie(variant: Variant, seed: int = 0) -> Movie:
    """Return the movie (frame, row, column) of a variant before its ``change``."""
    rng = np.random.default_rng(seed)
    wide = SIZE + 2 * MARGIN
    y, x = np.mgrid[:wide, :wide] - MARGIN
    t = np.arange(variant.frames)
    out = np.repeat(draw_tissue(variant.tissue, wide, rng)[None], variant.frames, 0)
    for peak, row, column in variant.events:
        rise, fall = np.exp(-((t - peak) ** 2) / 4), np.exp((peak - t) / 6)
        spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 32)
        out += 300 * np.where(t < peak, rise, fall)[:, None, None] * spot
    inner = slice(MARGIN, MARGIN + SIZE)
    movie = out[:, inner, inner].copy()
    if variant.shift is not None:
        first, rows, columns = variant.shift
        top, left = MARGIN - rows, MARGIN - columns
        movie[first:] = out[first:, top : top + SIZE, left : left + SIZE]
    return movie + rng.normal(0, 12, movie.shape)


def disturbed(variant: Variant, seed: int = 0) -> NDArray[Any]:
    """Return the movie of a variant: uint16, or float32 where values are missing."""
    movie = draw_movie(variant, seed)
    changed = variant.change(movie)
    movie = movie if changed is None else changed
    if np.isnan(movie).any():
        return movie.astype(np.float32)
    return np.clip(np.rint(movie), 0, 65535).astype(np.uint16)


def score_events(
    table: pd.DataFrame, events: tuple[tuple[int, int, int], ...]
) -> tuple[int, int]:
    """Return how many known events are found, and how many found events are false.

    Events of the kind "global", the whole field, are not counted.
    """
    table = table[table["kind"] != "global"]
    used: set[int] = set()
    for peak, row, column in events:
        near = (
            (table["z0"] - 3 <= peak)
            & (peak < table["z1"] + 3)
            & (table["x0"] - 3 <= row)
            & (row <= table["x1"] + 3)
            & (table["y0"] - 3 <= column)
            & (column <= table["y1"] + 3)
        )
        used |= set(np.flatnonzero(near)[:1].tolist())
    return len(used), len(table) - len(used)


def dark(frames: int, level: float = 20.0) -> Movie:
    """Return frames without light, of noise alone."""
    return np.random.default_rng(7).normal(level, 4, (frames, SIZE, SIZE))


def put_dark(frames: slice, level: float = 20.0) -> Change:
    def change(movie: Movie) -> None:
        movie[frames] = dark(len(movie[frames]), level)

    return change


def put(where: Any, value: float) -> Change:
    def change(movie: Movie) -> None:
        movie[where] = value

    return change


def add(where: Any, light: float) -> Change:
    def change(movie: Movie) -> None:
        movie[where] += light

    return change


def scale(where: Any, gain: float) -> Change:
    def change(movie: Movie) -> None:
        movie[where] *= gain

    return change


def repeat(frames: list[int]) -> Change:
    def change(movie: Movie) -> None:
        for t in frames:
            movie[t] = movie[t - 1]

    return change


def roll_odd_lines(pixels: float) -> Change:
    def change(movie: Movie) -> None:
        odd = movie[:, 1::2]
        movie[:, 1::2] = ndimage.shift(odd, (0, 0, pixels), order=3, mode="grid-wrap")

    return change


def raise_field(start: int, height: float, decay: float = 6.0, rise: int = 1) -> Change:
    """Everything rises by a share within some frames, and decays."""

    def change(movie: Movie) -> None:
        t = np.arange(len(movie)) - start
        course = np.where(t < 0, np.clip(1 + t / rise, 0, 1), np.exp(-t / decay))
        movie *= (1 + height * course)[:, None, None]

    return change


def cut_round(value: float) -> Change:
    def change(movie: Movie) -> None:
        y, x = np.mgrid[:SIZE, :SIZE]
        movie[:, (y - 31.5) ** 2 + (x - 31.5) ** 2 > 900] = value

    return change


def blur(frames: Any, sigma: float) -> Change:
    def change(movie: Movie) -> None:
        for t in np.arange(len(movie))[frames]:
            noise = np.random.default_rng(int(t)).normal(0, 12, movie[t].shape)
            movie[t] = ndimage.gaussian_filter(movie[t], sigma) + noise

    return change


def bleach(movie: Movie) -> None:
    t = np.arange(len(movie))
    movie *= (0.4 + 0.3 * np.exp(-t / 8) + 0.3 * np.exp(-t / 80))[:, None, None]


def both(first: Change, second: Change) -> Change:
    def change(movie: Movie) -> None:
        first(movie)
        second(movie)

    return change


def jump_variants() -> dict[str, Variant]:
    """Return jumps that stay, in tissue that repeats itself and in cells."""
    found = {}
    for kind in ("periodic", "cells"):
        for rows, columns in ((11, -12), (-11, 12), (11, 12), (5, 5), (-14, 3)):
            name = f"jump by ({rows}, {columns}), {kind}"
            found[name] = Variant(
                lambda movie: None,
                shift=(100, rows, columns),
                pulled=True,
                tissue=kind,
            )
    found["jump by (-11, 12) at 40"] = Variant(
        lambda movie: None, shift=(40, -11, 12), pulled=True
    )
    return found


def light_variants() -> dict[str, Variant]:
    """Return flashes, and light that is off."""
    found: dict[str, Variant] = {}
    every, field = range(10, FRAMES, 20), slice(None)
    for light in (30, 100, 3000):
        found[f"flash of {light} every 20"] = Variant(
            add(slice(10, None, 20), light), every
        )
        found[f"flash of {light} at 75"] = Variant(add([75], light), [75])
        found[f"band of {light} every 15"] = Variant(
            add((slice(10, None, 15), slice(20, 30)), light), range(10, FRAMES, 15)
        )
    eight = [10, 30, 50, 70, 90, 100, 110, 140]
    found["25 % brighter, once"] = Variant(scale([75], 1.25), [75])
    found["25 % brighter, 8 times"] = Variant(scale(eight, 1.25), eight)
    for count in (2, 8, 20):
        run = range(70, 70 + count)
        found[f"25 % brighter, {count} frames"] = Variant(
            scale(slice(70, 70 + count), 1.25), run
        )
    found["flash on an event"] = Variant(add([91], 100), [91])
    found["first frame brighter"] = Variant(scale([0], 1.5), [0])
    found["last frame brighter"] = Variant(scale([-1], 1.5), [FRAMES - 1])
    found["half a band"] = Variant(add(([75, 76], slice(40, 64), field), 200), [75, 76])
    for count in (1, 5, 15, 30):
        # the first event is at frame 25
        events = EVENTS if count < 20 else EVENTS[1:]
        found[f"dark start, {count}"] = Variant(
            put_dark(slice(0, count)), range(count), events=events
        )
    for count in (1, 2, 5, 14):
        found[f"laser off, {count}"] = Variant(
            put_dark(slice(72, 72 + count)), range(72, 72 + count)
        )
    found["laser off, 14, light leaks"] = Variant(
        put_dark(slice(72, 86), 100), range(72, 86)
    )
    found["dimmed to 60 %, 14"] = Variant(scale(slice(72, 86), 0.6), range(72, 86))
    for count in (20, 40, 60):
        found[f"laser off, {count} of 240"] = Variant(
            put_dark(slice(80, 80 + count)),
            range(80, 80 + count),
            frames=240,
            events=LATE_EVENTS,
        )
    found["laser off twice"] = Variant(
        both(put_dark(slice(40, 50)), put_dark(slice(72, 80))),
        [*range(40, 50), *range(72, 80)],
    )
    found["dark end, 10"] = Variant(put_dark(slice(150, None)), range(150, 160))
    return found


def other_variants() -> dict[str, Variant]:
    """Return dropped and repeated frames, lines, the whole field, focus."""
    found: dict[str, Variant] = {"undisturbed": Variant(lambda movie: None)}
    dropped = [40, 41, 75, 110]
    found["dropped, zero"] = Variant(put(dropped, 0), dropped)
    found["dropped, 100"] = Variant(put(dropped, 100), dropped)
    found["dropped, NaN"] = Variant(put(dropped, np.nan), dropped)
    found["repeated, 3"] = Variant(repeat([41, 42, 76]), [41, 42, 76])
    found["repeated, 10 in a row"] = Variant(repeat([*range(71, 81)]), range(71, 81))
    found["saturated"] = Variant(put([40, 41], 65535), [40, 41])
    found["lines lost"] = Variant(put((40, slice(10, 20)), 0), [40])
    found["lines stopped"] = Variant(put((75, slice(20, None)), 0), [75])
    for pixels in (2.0, 1.0, 0.5, -1.5):
        found[f"odd lines by {pixels}"] = Variant(roll_odd_lines(pixels), pulled=True)
    for height in (0.1, 0.4, 1.0):
        found[f"field + {height:.0%}"] = Variant(raise_field(103, height))
    found["field + 40 % in 4 frames"] = Variant(raise_field(105, 0.4, rise=4))
    found["field + 40 % at 75"] = Variant(raise_field(75, 0.4))
    for value in (0, 100):
        found[f"round field, {value}"] = Variant(cut_round(value))
    found["NaN border"] = Variant(put((slice(None), slice(0, 3)), np.nan))
    found["bleaching"] = Variant(bleach)
    found["laser power - 20 %"] = Variant(scale(slice(75, None), 0.8))
    found["3 frames moved"] = Variant(
        lambda movie: np.concatenate(
            [movie[:75], np.roll(movie[75:78], (9, -7), (1, 2)), movie[78:]]
        ),
        pulled=True,
        near=range(75, 78),
    )
    for sigma in (3.0, 6.0):
        found[f"blurred by {sigma:.0f}, cells"] = Variant(
            blur([40, 75], sigma), [40, 75], tissue="cells", pulled=True
        )
    found["blurred by 3, 10 frames, cells"] = Variant(
        blur(slice(70, 80), 3.0), range(70, 80), tissue="cells", pulled=True
    )
    found["flash and jump"] = Variant(
        add([40, 75], 100), [40, 75], shift=(100, 11, -12), pulled=True
    )
    found["dark start and odd lines"] = Variant(
        both(roll_odd_lines(2.0), put_dark(slice(0, 10))), range(10), pulled=True
    )
    return found


def all_variants() -> dict[str, Variant]:
    """Return every variant by its name."""
    return light_variants() | other_variants() | jump_variants()
