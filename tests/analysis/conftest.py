"""A small recording with three events whose numbers are all known, as a store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

from astrocast.events.schema import COLUMNS
from astrocast.io import create_recording
from astrocast.io.recording import Metadata
from astrocast.io.stores.event_table_writer import write_events

SHAPE = (40, 16, 20)
PIXEL, RATE = (0.5, 0.5), 10.0


def draw_labels() -> np.ndarray:
    """Event 1: a square that stays; 2: a bar that grows to the right; 3: one pixel for
    one frame, where 1 was.
    """
    labels = np.zeros(SHAPE, np.int32)
    labels[5:15, 2:6, 3:7] = 1
    for t in range(6):
        labels[10 + t, 9:12, 4 : 5 + 2 * t] = 2
    labels[30, 3, 4] = 3
    return labels


def draw_movie(labels: np.ndarray) -> np.ndarray:
    """Noise around 1, and in each event a triangle of height 8 over its frames."""
    movie = np.random.default_rng(7).normal(1, 0.05, SHAPE).astype(np.float32)
    for n in np.unique(labels[labels > 0]):
        frames = np.flatnonzero((labels == n).any(axis=(1, 2)))
        height = 8 * (1 - np.abs(np.linspace(-1, 1, len(frames) + 2)[1:-1]))
        for t, h in zip(frames, height, strict=True):
            movie[t][labels[t] == n] += h
    return movie


def table_of(labels: np.ndarray, movie: np.ndarray) -> pd.DataFrame:
    """Return an event table by plain loops; columns that no test reads are NaN."""
    rows: list[dict[str, Any]] = []
    for n in np.unique(labels[labels > 0]):
        where = np.argwhere(labels == n)
        (z0, x0, y0), (z1, x1, y1) = where.min(axis=0), where.max(axis=0) + 1
        box = (slice(z0, z1), slice(x0, x1), slice(y0, y1))
        mask = labels[box] == n
        footprint = mask.any(axis=0)
        row: dict[str, Any] = {c.name: np.nan for c in COLUMNS if c.dtype == "float64"}
        row |= {c.name: 0 for c in COLUMNS if c.dtype == "int64"}
        row |= dict(
            zip(
                ("z0", "z1", "x0", "x1", "y0", "y1"),
                (z0, z1, x0, x1, y0, y1),
                strict=True,
            )
        )
        row |= dict(zip(("dz", "dx", "dy"), mask.shape, strict=True))
        centre = np.argwhere(footprint).mean(axis=0)
        row |= {
            "name": str(n),
            "v_area": mask.sum(),
            "v_length": z1 - z0,
            "v_fp_area": footprint.sum(),
            "v_fp_cx": x0 + centre[0],
            "v_fp_cy": y0 + centre[1],
            "v_fp_centroid_local-0": centre[0] / mask.shape[1],
            "v_fp_centroid_local-1": centre[1] / mask.shape[2],
            "mask": mask,
            "footprint": footprint,
            "trace": np.array(
                [movie[box][t][mask[t]].mean() for t in range(z1 - z0)], np.float32
            ),
            "noise_mask_trace": np.zeros(z1 - z0, np.float32),
        }
        rows.append(row)
    return pd.DataFrame(
        rows,
        index=pd.Index(np.unique(labels[labels > 0]).astype(np.int64), name="event_id"),
    )


def make_store(
    folder: Path, labels: np.ndarray, movie: np.ndarray, stem: str = "cell"
) -> Path:
    """Write the recording ``<stem>.h5`` and its events beside it; returns the directory
    of the events.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metadata = Metadata(pixel_size=PIXEL, frame_rate=RATE)
    with create_recording(
        folder / f"{stem}.h5",
        "df/ch0",
        movie.shape,
        np.float32,
        metadata=metadata,
        overwrite=True,
    ) as writer:
        writer.write(0, movie)
    directory = folder / f"{stem}.ch0.roi"
    directory.mkdir()
    tifffile.imwrite(directory / "event_map.tiff", labels, photometric="minisblack")
    write_events(directory, table_of(labels, movie))
    meta = {"input": {"loc": "df/ch0", "metadata": metadata.to_attributes()}}
    (directory / "meta.json").write_text(json.dumps(meta))
    return directory


@pytest.fixture(scope="session")
def labels() -> np.ndarray:
    return draw_labels()


@pytest.fixture(scope="session")
def movie(labels: np.ndarray) -> np.ndarray:
    return draw_movie(labels)


@pytest.fixture(scope="session")
def store(
    tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray, movie: np.ndarray
) -> Path:
    """A directory of three events, its recording beside it; tests only read it."""
    return make_store(tmp_path_factory.mktemp("session"), labels, movie)


@pytest.fixture(scope="session")
def another_store(
    tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray, movie: np.ndarray
) -> Path:
    """Another subject's recording of the same name: the first 25 frames, with two
    events.
    """
    return make_store(tmp_path_factory.mktemp("another"), labels[:25], movie[:25])


@pytest.fixture(scope="session")
def tabulate() -> Callable[[np.ndarray, np.ndarray], pd.DataFrame]:
    """Return the function that makes a table of a label volume by plain loops."""
    return table_of


@pytest.fixture(scope="session")
def store_maker() -> Callable[..., Path]:
    """Return the function that makes a store."""
    return make_store
