"""Recordings behind a URL, on a local server that speaks S3."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from astrocast.detection import Detector
from astrocast.detection.threshold.preliminary import known_registration
from astrocast.errors import (
    DatasetNotFoundError,
    InvalidValueError,
    OutputExistsError,
    RecordingNotFoundError,
)
from astrocast.io import create_recording, open_recording
from astrocast.io.stores.frame_quality import read_frame_quality
from astrocast.io.stores.registration_store import read_registration
from astrocast.preparation import Delta, Input, MotionCorrection

# the server and the client of S3 warn by themselves
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def movie() -> NDArray[np.uint16]:
    """50 frames of 20 x 24 pixels."""
    rng = np.random.default_rng(4)
    return rng.integers(100, 900, (50, 20, 24)).astype(np.uint16)


@pytest.fixture(scope="module")
def url(s3_bucket: str, movie: NDArray[np.uint16]) -> str:
    """A store with one array, data/ch0."""
    place = f"{s3_bucket}/scene.zarr"
    with create_recording(
        place, "data/ch0", movie.shape, movie.dtype, chunks=(8, 10, 24)
    ) as writer:
        writer.write(0, movie)
    return place


def test_reads_what_was_written(url: str, movie: NDArray[np.uint16]) -> None:
    with open_recording(url, "data/ch0") as found:
        np.testing.assert_array_equal(found.to_array(), movie)
        part = found.read(3, 21, slice(2, 9), slice(5, 20))
        np.testing.assert_array_equal(part, movie[3:21, 2:9, 5:20])
        there = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own bytes
        np.testing.assert_array_equal(there.read(7, 9), movie[7:9])


def test_stages_read_and_write_behind_a_url(
    url: str, movie: NDArray[np.uint16]
) -> None:
    Input(logging_level=40).run(url, url, loc_in="data/ch0", loc_out="more")
    delta = Delta(url, "more/ch0")
    delta.run(5, "dF")
    delta.save(url, "df/ch0", chunks=(8, 20, 24))
    with open_recording(url, "df/ch0") as found:
        np.testing.assert_array_equal(found.to_array(), Delta(movie).run(5, "dF"))
    motion = MotionCorrection(logging_level=40)
    motion.run(url, "data/ch0", max_shifts=(2, 2))
    motion.save(url, "mc/ch0")
    with open_recording(url, "mc/ch0") as found:
        np.testing.assert_array_equal(found.to_array(), motion.save())


def test_an_array_that_is_there_is_kept_unless_asked(
    url: str, movie: NDArray[np.uint16]
) -> None:
    options: Any = {"shape": movie.shape, "dtype": movie.dtype}
    with pytest.raises(OutputExistsError, match="is there already"):
        create_recording(url, "data/ch0", **options)
    with create_recording(url, "again/ch0", **options) as writer:
        writer.write(0, movie)
    with create_recording(url, "again/ch0", **options, overwrite=True) as writer:
        writer.write(0, movie + 1)
    with open_recording(url, "again/ch0") as found:
        np.testing.assert_array_equal(found.to_array(), movie + 1)


def test_half_an_array_is_not_there(url: str, movie: NDArray[np.uint16]) -> None:
    writer = create_recording(url, "half/ch0", movie.shape, movie.dtype)
    writer.write(0, movie[:20])
    with pytest.raises(InvalidValueError, match="20 of 50 frames"):
        writer.commit()
    writer.discard()
    with pytest.raises(DatasetNotFoundError, match="data/ch0"):
        open_recording(url, "half/ch0")


def test_names_an_address_where_there_is_nothing(s3_bucket: str) -> None:
    with pytest.raises(RecordingNotFoundError, match="no zarr array at s3://movies/no"):
        open_recording(f"{s3_bucket}/nothing.zarr")


def test_events_are_those_of_the_same_file_on_disk(
    s3_bucket: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(6)
    scene = rng.normal(100, 5, (60, 32, 32)).astype(np.float32)
    scene[20:30, 10:18, 12:20] += 60
    places = (f"{s3_bucket}/events.zarr", tmp_path / "events.zarr")
    for place in places:
        with create_recording(place, "mc/ch0", scene.shape, scene.dtype) as writer:
            writer.write(0, scene)
    tables = []
    for place, name in zip(places, ("remote", "local"), strict=True):
        store = tmp_path / f"{name}.roi"
        Detector(place, output=store, logging_level=40).run(
            "mc/ch0", method="calibrated"
        )
        tables.append((store / "events.csv").read_bytes())
    assert tables[0] == tables[1]
    assert tables[0].count(b"\n") > 1


def test_what_lies_beside_a_movie_is_behind_the_url_as_well(
    url: str, movie: NDArray[np.uint16]
) -> None:
    black = movie.copy()
    black[12] = 0
    place = url.replace("scene", "beside")
    Input(logging_level=50).run(black, place, loc_out="data")
    table = read_frame_quality(place, "data/ch0")
    assert table is not None
    assert table.attrs["frames"] == len(movie)
    assert table.loc[table["kind"] == "black", "frame"].tolist() == [12]
    motion = MotionCorrection(logging_level=40)
    motion.run(place, "data/ch0", max_shifts=(2, 2))
    motion.save(place, "mc/ch0")
    stored = read_registration(place, "mc/ch0")
    assert stored is not None
    np.testing.assert_array_equal(stored.shifts, motion.registration.shifts)
    assert stored.summary == motion.registration.summary
    assert read_registration(place, "mc/ch7") is None
    assert read_frame_quality(place, "data/ch7") is None
    # a later stage takes note of them, as beside a file
    with open_recording(place, "mc/ch0") as found:
        known = known_registration(found)
    assert known is not None
    assert known.border == stored.border
