"""Disturbed movies with known bad frames; the same movies without are left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from astrocast.kernels.frames.frame_quality import LEAVE_OUT, judge_frames
from astrocast.kernels.frames.frame_statistics import FrameStatistics, measure_frames

Movie = NDArray[np.float64]
FRAMES, SIZE = 160, 64


def tissue(seed: int = 0) -> Movie:
    """Still tissue with four events, 160 x 64 x 64; baseline 400, noise 12."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    still = 400 * (1 + 0.25 * np.sin(x / 5) * np.cos(y / 7))
    t = np.arange(FRAMES)
    movie = np.repeat(still[None], FRAMES, 0)
    for peak, row, column in ((25, 16, 16), (60, 44, 20), (90, 20, 46), (120, 46, 46)):
        course = np.where(
            t < peak, np.exp(-((t - peak) ** 2) / 4), np.exp((peak - t) / 6)
        )
        spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 32)
        movie += 300 * course[:, None, None] * spot
    return movie + rng.normal(0, 12, movie.shape)


def stored(movie: Movie) -> NDArray[np.uint16]:
    return np.clip(np.rint(movie), 0, 65535).astype(np.uint16)


def dark(frames: int) -> Movie:
    return np.random.default_rng(7).normal(20, 4, (frames, SIZE, SIZE))


def found(movie: NDArray[Any]) -> dict[str, list[int]]:
    kinds: dict[str, list[int]] = {}
    for flag in judge_frames(measure_frames(movie)):
        if flag.severity >= LEAVE_OUT:
            kinds.setdefault(flag.kind, []).append(flag.frame)
    return kinds


def set_frames(frames: Any, value: Any) -> Callable[[Movie], None]:
    def change(movie: Movie) -> None:
        movie[frames] = value

    return change


def scale_frames(frames: Any, gain: float) -> Callable[[Movie], None]:
    def change(movie: Movie) -> None:
        movie[frames] *= gain

    return change


def add_light(frames: Any, rows: slice, light: float) -> Callable[[Movie], None]:
    def change(movie: Movie) -> None:
        movie[frames, rows] += light

    return change


def repeat_frames(frames: list[int]) -> Callable[[Movie], None]:
    def change(movie: Movie) -> None:
        for t in frames:
            movie[t] = movie[t - 1]

    return change


def stop_lines(frame: int, row: int) -> Callable[[Movie], None]:
    def change(movie: Movie) -> None:
        movie[frame, row:] = movie[frame - 1, row:]

    return change


EIGHT = [10, 30, 50, 70, 90, 100, 110, 140]
CASES = {
    "empty frames": (set_frames([40, 41, 75, 110], 0), "black", [40, 41, 75, 110]),
    "dark start": (set_frames(slice(0, 15), dark(15)), "black", range(15)),
    "dark end": (set_frames(slice(140, 160), dark(20)), "black", range(140, 160)),
    "laser off": (set_frames(slice(72, 86), dark(14)), "black", range(72, 86)),
    "laser off, long": (set_frames(slice(60, 110), dark(50)), "black", range(60, 110)),
    "dimmed": (scale_frames(slice(60, 100), 0.4), "black", range(60, 100)),
    "a quarter brighter": (scale_frames([75], 1.25), "flash", [75]),
    "eight, a quarter brighter": (scale_frames(EIGHT, 1.25), "flash", EIGHT),
    "one percent of the range": (add_light([75], slice(None), 30), "flash", [75]),
    "eight in a row": (scale_frames(slice(70, 78), 1.25), "flash", range(70, 78)),
    "very bright": (
        add_light(slice(10, None, 20), slice(None), 3000),
        "flash",
        range(10, 160, 20),
    ),
    "band": (
        add_light(slice(10, None, 15), slice(20, 30), 3000),
        "flash",
        range(10, 160, 15),
    ),
    "first frame": (scale_frames([0], 1.5), "flash", [0]),
    "saturated": (set_frames([40, 41], 65535), "saturated", [40, 41]),
    "repeated": (repeat_frames([41, 42, 76]), "repeated", [41, 42, 76]),
    "lines stopped": (stop_lines(40, 20), "lost_lines", [40]),
    "lines lost": (set_frames((40, slice(10, 20)), 0), "lost_lines", [40]),
    "lines without light": (
        set_frames((40, slice(10, 20)), dark(1)[0, :10]),
        "lost_lines",
        [40],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_disturbed_frames_are_found_and_no_others(name: str) -> None:
    change, kind, frames = CASES[name]
    movie = tissue()
    change(movie)
    assert found(stored(movie)) == {kind: list(frames)}


def rising_field(movie: Movie) -> None:
    """A global event: everything rises at once by 40 % and decays."""
    t = np.arange(FRAMES)
    movie *= (1 + 0.4 * np.exp(-(t - 103) / 6) * (t >= 103))[:, None, None]


def bleaching(movie: Movie) -> None:
    t = np.arange(FRAMES)
    movie *= (0.3 + 0.3 * np.exp(-t / 8) + 0.4 * np.exp(-t / 80))[:, None, None]


def jumping(movie: Movie) -> None:
    movie[100:] = np.roll(movie[100:], (11, -12), axis=(1, 2))
    movie[50] = np.roll(movie[50], (3, 3), axis=(0, 1))


def long_event(movie: Movie) -> None:
    """Half of the field is three times as bright in a third of the frames."""
    movie[50:105, :, 30:] *= 3


def round_field(movie: Movie) -> None:
    y, x = np.mgrid[:SIZE, :SIZE]
    movie[:, (y - 31.5) ** 2 + (x - 31.5) ** 2 > 900] = 0


@pytest.mark.parametrize(
    "change",
    [
        lambda movie: None,
        rising_field,
        bleaching,
        jumping,
        round_field,
        long_event,
        scale_frames(slice(80, None), 0.6),
        scale_frames(slice(80, None), 1.5),
    ],
    ids=[
        "still",
        "global event",
        "bleaching",
        "jump",
        "round",
        "event",
        "dimmed",
        "brighter",
    ],
)
def test_frames_that_show_the_tissue_are_left_alone(
    change: Callable[[Movie], None],
) -> None:
    movie = tissue()
    change(movie)
    assert found(stored(movie)) == {}


def test_nan_frames_are_missing_and_a_nan_border_is_not() -> None:
    movie = tissue().astype(np.float32)
    movie[:, :3] = np.nan
    assert found(movie) == {}
    movie[44] = np.nan
    assert found(movie) == {"missing": [44]}


def test_a_recording_of_doubled_frames_keeps_them() -> None:
    flags = judge_frames(measure_frames(stored(np.repeat(tissue()[::2], 2, axis=0))))
    assert {f.kind for f in flags} == {"repeated"}
    assert max(f.severity for f in flags) < LEAVE_OUT
    assert "frame rate" in flags[0].reason


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", ">u2", "f4", "f8"])
def test_statistics_equal_a_plain_loop(dtype: str) -> None:
    movie = np.random.default_rng(2).integers(0, 120, (5, 37, 53)).astype(dtype)
    movie[2, 5:9] = movie[1, 5:9]
    movie[3, 20] = 7
    stats = measure_frames(movie)
    plain = movie.astype(float)
    steps = np.sqrt((np.diff(plain, axis=0) ** 2).mean((1, 2)))
    np.testing.assert_allclose(stats.step[1:], steps, rtol=1e-5)
    assert np.isnan(stats.step[0])
    assert stats.equal_rows.tolist() == [0, 0, 4, 0, 0]
    assert stats.flat_rows.tolist() == [0, 0, 0, 1, 0]
    assert stats.top.tolist() == plain.max((1, 2)).tolist()
    at_top = (plain == plain.max((1, 2), keepdims=True)).mean((1, 2))
    np.testing.assert_allclose(stats.top_share, at_top, rtol=1e-6)
    rows = np.linspace(0, 37, stats.blocks.shape[1] + 1).round().astype(int)
    columns = np.linspace(0, 53, stats.blocks.shape[2] + 1).round().astype(int)
    for i in range(len(rows) - 1):
        for j in range(len(columns) - 1):
            block = plain[:, rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
            np.testing.assert_allclose(
                stats.blocks[:, i, j], block.mean((1, 2)), rtol=1e-5
            )


def test_blocks_of_frames_change_nothing() -> None:
    movie = stored(tissue())
    movie[75] //= 3
    whole = measure_frames(movie)
    parts = FrameStatistics.join(
        [
            measure_frames(movie[a:b], movie[a - 1] if a else None)
            for a, b in ((0, 1), (1, 76), (76, 160))
        ]
    )
    for name, values in vars(whole).items():
        np.testing.assert_array_equal(getattr(parts, name), values)


def test_tiny_recordings_are_not_judged() -> None:
    assert judge_frames(measure_frames(np.zeros((2, 8, 8)))) == []
    assert judge_frames(measure_frames(np.zeros((9, 3, 2)))) == []


@pytest.mark.parametrize("rise", [2, 3, 4])
def test_an_event_of_the_whole_field_is_not_a_flash(rise: int):
    # rises over a few frames, stays, decays: in some rows one step is most of the rise
    rng = np.random.default_rng(rise)
    course = np.zeros(120)
    course[60 : 60 + rise] = np.arange(1, rise + 1) / rise
    course[60 + rise : 66] = 1
    course[66:] = np.exp(-np.arange(54) / 3)
    weight = rng.uniform(0.6, 1.4, (64, 64))
    movie = 400 * (1 + 0.2 * course[:, None, None] * weight)
    movie = (movie + rng.normal(0, 8, movie.shape)).astype(np.float32)
    assert not found(movie)
