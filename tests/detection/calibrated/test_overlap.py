"""Events that share voxels, from a recording to its event store and back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from astrocast.analysis import Events
from astrocast.detection import Detector
from astrocast.detection.calibrated import batches, candidates
from astrocast.detection.calibrated.segment import calibrated_events, calibrated_labels
from astrocast.detection.checkpoint import Checkpoint
from astrocast.detection.events.layers import write_layers
from astrocast.io import create_recording, open_recording
from astrocast.io.stores.event_map import open_event_map
from astrocast.io.stores.event_table import read_events
from astrocast.kernels.calibrated.overlap import LayeredEvent
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.simulation.scoring import score

SHAPE = (130, 48, 64)
#: onset, row, column, decay in frames, height as dF/F: two pairs that overlap in space
#: and time, and one event alone
EVENTS = (
    (20, 16, 14, 10.0, 0.8),
    (31, 16, 24, 7.0, 1.0),
    (70, 30, 40, 10.0, 0.9),
    (82, 31, 42, 6.0, 1.2),
    (30, 36, 54, 5.0, 0.9),
)


def true_events() -> np.ndarray:
    t, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    out = np.zeros((len(EVENTS), *SHAPE))
    for k, (onset, row, column, decay, height) in enumerate(EVENTS):
        course = np.clip((t - onset) / 3, 0, 1) * np.exp(
            -np.maximum(t - onset - 3, 0) / decay
        )
        out[k] = height * course * np.exp(-(((y - row) ** 2 + (x - column) ** 2) / 40))
    return out


def make_movie(seed: int = 0, photons: float = 150.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    still = photons * np.clip(1 + rng.normal(size=SHAPE[1:]) * 0.1, 0.5, 2)
    return (90 + 2 * rng.poisson(still * (1 + true_events().sum(axis=0)))).astype(
        np.uint16
    )


def truth() -> list[np.ndarray]:
    return [np.flatnonzero(e >= 0.25 * e.max()) for e in true_events()]


@pytest.fixture(scope="module")
def movie() -> np.ndarray:
    return make_movie()


@pytest.fixture(scope="module")
def directory(movie: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("overlap") / "recording.h5"
    with create_recording(path, "data/ch0", movie.shape, movie.dtype) as writer:
        writer.write(0, movie)
    return Detector(path).run("data/ch0", method="calibrated")


def voxels_of(table: pd.DataFrame) -> list[np.ndarray]:
    """Flat indices of each event, from its row."""
    out = []
    for row in table.itertuples():
        place = np.argwhere(row.mask) + np.array([row.z0, row.x0, row.y0])
        out.append(np.ravel_multi_index(tuple(place.T), SHAPE))
    return out


def test_overlapping_events_are_known_better_than_exclusive_ones(
    movie: np.ndarray,
) -> None:
    shared = score(truth(), calibrated_events(open_recording(movie)))
    alone = score(
        truth(),
        calibrated_events(open_recording(movie), CalibratedSettings(overlap=False)),
    )
    assert shared.f1 == alone.f1 == 1
    assert shared.mean_iou > alone.mean_iou + 0.04
    assert shared.ious.min() > alone.ious.min()


def test_rows_are_of_all_voxels_and_the_map_shows_one(
    directory: Path, movie: np.ndarray
) -> None:
    table = read_events(directory)
    assert len(table) == len(EVENTS)
    found = voxels_of(table)
    assert score(truth(), found).mean_iou > 0.65
    with open_event_map(directory) as recording:
        shown = recording.to_array()
    count = np.bincount(np.concatenate(found), minlength=movie.size)
    np.testing.assert_array_equal(shown.ravel() > 0, count > 0)
    for (number, row), own in zip(table.iterrows(), found, strict=True):
        assert row["v_area"] == row["mask"].sum() == row["v_mask_area"]
        assert row["overlap_voxels"] == (count[own] > 1).sum()
        hidden = row["mask_hidden"][row["mask"]]
        np.testing.assert_array_equal(hidden, shown.ravel()[own] != number)
        assert not row["mask_hidden"][~row["mask"]].any()
        own_trace = [
            movie[t].ravel()[own[own // movie[0].size == t] % movie[0].size].mean()
            for t in row_frames(row)
        ]
        np.testing.assert_allclose(row["trace"], own_trace, rtol=1e-5)


def test_the_map_shows_the_stronger_of_two(directory: Path) -> None:
    table = read_events(directory)
    found = voxels_of(table)
    with open_event_map(directory) as recording:
        shown = recording.to_array().ravel()
    strengths = true_events().reshape(len(EVENTS), -1)
    true_number = {
        n: int(strengths[:, own].sum(axis=1).argmax())
        for n, own in zip(table.index, found, strict=True)
    }
    right = []
    for (number, row), own in zip(table.iterrows(), found, strict=True):
        hidden = own[row["mask_hidden"][row["mask"]]]
        right += [
            strengths[true_number[o], v] > strengths[true_number[number], v]
            for o, v in zip(shown[hidden], hidden, strict=True)
        ]
    assert len(right) > 100
    assert np.mean(right) > 0.9
    alone = table[[true_number[n] == 4 for n in table.index]]
    assert alone["overlap_voxels"].tolist() == [0]


def row_frames(row: pd.Series) -> range:
    return range(row["z0"], row["z1"])


def test_the_map_is_drawn_from_the_table_as_it_is_stored(
    directory: Path, tmp_path: Path
) -> None:
    with open_event_map(directory) as recording:
        shown = recording.to_array()
    events = Events(directory)
    np.testing.assert_array_equal(Events.create_event_map(events.events, SHAPE), shown)
    np.testing.assert_array_equal(
        Events.create_event_map(read_events(directory), SHAPE), shown
    )
    saved = Events.create_event_map(
        events.events.iloc[::-1], SHAPE, save_path=tmp_path / "map.h5"
    )
    np.testing.assert_array_equal(saved.compute(), shown)
    # without the stronger event the weaker one is seen
    weaker = events.events.sort_values("overlap_voxels")
    weaker = weaker[[m.any() for m in weaker["mask_hidden"]]].iloc[[-1]]
    assert (Events.create_event_map(weaker, SHAPE) > 0).sum() == weaker["v_area"].iloc[
        0
    ]


def test_a_table_with_events_of_another_method_is_drawn(directory: Path) -> None:
    table = Events(directory).events
    mixed = pd.concat(
        [
            table,
            table.drop(columns=["mask_hidden", "overlap_voxels"]).assign(
                event_id=table.event_id + 9
            ),
        ]
    )
    drawn = Events.create_event_map(mixed, SHAPE)
    assert set(np.unique(drawn)) == {0, *mixed["event_id"]} - set(table.event_id) | set(
        drawn[drawn > 0]
    )
    assert ((drawn > 0) == (Events.create_event_map(table, SHAPE) > 0)).all()


def test_neither_blocks_nor_batches_change_what_is_shared(
    movie: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, labels = (
        calibrated_events(open_recording(movie)),
        calibrated_labels(open_recording(movie))[0],
    )
    monkeypatch.setattr(candidates, "_BLOCK_VOXELS", 17 * SHAPE[1] * SHAPE[2])
    monkeypatch.setattr(batches, "_BATCH_VOXELS", 1)
    blocks = calibrated_events(open_recording(movie))
    assert len(blocks) == len(whole)
    for a, b in zip(blocks, whole, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(calibrated_labels(open_recording(movie))[0], labels)


@pytest.mark.parametrize("threads", [1, 3])
def test_neither_threads_nor_groups_change_the_events_or_their_order(
    movie: np.ndarray, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    whole = calibrated_events(open_recording(movie))
    labels, sure = calibrated_labels(open_recording(movie))
    monkeypatch.setattr(batches, "_GROUP_VOXELS", 1)
    with ThreadPoolExecutor(threads) as pool:
        found = calibrated_events(open_recording(movie), pool=pool)
        again, sure_again = calibrated_labels(open_recording(movie), pool=pool)
    assert len(found) == len(whole)
    for a, b in zip(found, whole, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(again, labels)
    np.testing.assert_array_equal(sure_again, sure)


def test_an_event_in_the_hole_of_another_keeps_its_voxels_whichever_comes_first(
    tmp_path: Path,
) -> None:
    """An event that is filled and one within it, of another batch: neither is hidden,
    both claim the voxels.
    """
    inner, outer = np.array([6, 7]), np.arange(12)
    none = np.zeros(12, bool)
    filled = none.copy()
    filled[5:8] = True
    parts = [
        (LayeredEvent(inner, none[:2], none[:2]), 1),
        (LayeredEvent(outer, none, filled), 2),
    ]
    for turn, order in enumerate((parts, parts[::-1])):
        checkpoint = Checkpoint(tmp_path / f"{turn}.roi", {})
        write_layers(checkpoint, "events", 0, (1, 1, 12), order)
        stored = checkpoint.load("events", 0)
        assert stored["start"].tolist() == [0, 6, 8]
        assert stored["labels"].tolist() == [2, 1, 2]
        assert not len(stored["below_labels"])


def test_exclusive_events_have_nothing_in_common(
    movie: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "recording.npy", movie)
    settings = CalibratedSettings(overlap=False)
    table = read_events(
        Detector(tmp_path / "recording.npy").run(
            method="calibrated", calibration=settings
        )
    )
    assert table["overlap_voxels"].tolist() == [0] * len(EVENTS)
    assert not any(m.any() for m in table["mask_hidden"])
    found = np.concatenate(voxels_of(table))
    assert len(np.unique(found)) == len(found)


def test_exports_hold_every_voxel_of_each_event(
    directory: Path, tmp_path: Path
) -> None:
    pynwb = pytest.importorskip("pynwb")
    events = Events(directory, data="infer")
    events.export.nwb(tmp_path / "events.nwb")
    with pynwb.NWBHDF5IO(tmp_path / "events.nwb", "r") as file:
        (segmentation,) = (
            o for o in file.read().objects.values() if o.name == "Footprints"
        )
        exported = [
            {(int(p[1]), int(p[0])) for p in pixels}
            for pixels in segmentation["pixel_mask"][:]
        ]
    table = events.events
    assert exported == [
        {(int(x + x0), int(y + y0)) for x, y in np.argwhere(mask.any(axis=0))}
        for mask, x0, y0 in zip(table["mask"], table["x0"], table["y0"], strict=True)
    ]
    events.export.ome_zarr(tmp_path / "events.ome.zarr")
    with (
        open_event_map(directory) as shown,
        open_recording(tmp_path / "events.ome.zarr/labels/events/0") as labels,
    ):
        np.testing.assert_array_equal(labels.to_array(), shown.to_array())
