"""`split_events` from a recording to its store, and how well it tells events apart on
simulated recordings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from astrocast.detection import Detector, run
from astrocast.detection.calibrated import candidates
from astrocast.detection.events import division
from astrocast.io.stores.event_map import open_event_map
from astrocast.io.stores.event_table import read_events
from astrocast.kernels.segmentation.splitting import divide
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation import simulate


def event_map(directory: Path) -> np.ndarray:
    with open_event_map(directory) as recording:
        return recording.to_array()


@pytest.fixture(scope="module")
def touching(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """dF of pairs of events that touch, without bleaching or motion, and the truth."""
    settings = SimulationSettings(
        seed=7402,
        frames=160,
        rows=96,
        columns=96,
        snr=8,
        events=6,
        kinds=("touching",),
        motion=0,
        bleach_fraction=0,
        drift=0,
    )
    made = simulate(settings)
    path = tmp_path_factory.mktemp("division") / "touching.npy"
    np.save(path, (made.movie - settings.offset - made.f0).astype(np.float32))
    return path, made.labels


def parts_of(found: np.ndarray, truth: np.ndarray) -> dict[int, list[tuple[int, int]]]:
    """Return for each found region the true events that lie in it, each with the size
    of what lies there.
    """
    out: dict[int, list[tuple[int, int]]] = {}
    for n in range(1, truth.max() + 1):
        inside = np.bincount(found[truth == n], minlength=2)
        inside[0] = 0
        out.setdefault(int(inside.argmax()), []).append((n, int(inside.max())))
    return out


def test_pairs_that_touch_become_two(
    touching: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    path, truth = touching
    options = {"temporal_prominence": "auto"}
    before = event_map(Detector(path, tmp_path / "whole").run(**options))
    directory = Detector(path, tmp_path / "parts").run(**options, split_events=True)
    after, table = event_map(directory), read_events(directory)
    np.testing.assert_array_equal(after > 0, before > 0)
    assert len(parts_of(before, truth)) <= 4  # of 6: pairs are found as one
    assert len(parts_of(after, truth)) == 6
    divided = table[table["part_of"] > 0]
    assert all(
        row["name"].startswith(f"{row['part_of']}_") for _, row in divided.iterrows()
    )
    for number, parts in divided.groupby("part_of"):
        own = np.isin(after, parts.index)
        np.testing.assert_array_equal(own, before == before[own].max())
        assert [name.split("_") for name in parts["name"]] == [
            [str(number), str(k + 1)] for k in range(len(parts))
        ]


def test_blocks_do_not_change_the_parts(
    touching: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = touching
    options = {"temporal_prominence": "auto", "split_events": True}
    whole = Detector(path, tmp_path / "whole").run(**options)
    monkeypatch.setattr(run, "block_frames", lambda recording: 11)
    blocks = Detector(path, tmp_path / "blocks").run(**options)
    np.testing.assert_array_equal(event_map(blocks), event_map(whole))
    assert read_events(blocks)["name"].tolist() == read_events(whole)["name"].tolist()


def test_the_parts_of_an_event_are_those_of_its_box(
    touching: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    path, _ = touching
    options = {"temporal_prominence": "auto"}
    before = event_map(Detector(path, tmp_path / "whole").run(**options))
    after = event_map(
        Detector(path, tmp_path / "parts").run(**options, split_events=True)
    )
    movie = np.load(path)
    for number, box in enumerate(ndimage.find_objects(before), 1):
        parts = divide(movie[box], before[box] == number)
        own = after[box][parts > 0]
        assert (
            len(np.unique(own))
            == parts.max()
            == len(np.unique(np.stack([own, parts[parts > 0]]), axis=1).T)
        )
        np.testing.assert_array_equal(divide(movie, before == number)[box], parts)


def test_an_event_that_is_too_large_to_hold_stays_whole(
    touching: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = touching
    monkeypatch.setattr(division, "_BOX_VOXELS", 10)
    table = read_events(
        Detector(path, tmp_path / "parts").run(
            temporal_prominence="auto", split_events=True
        )
    )
    assert (table["part_of"] == 0).all()


def test_calibrated_events_that_share_voxels_can_be_divided_too(
    touching: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = touching
    whole = read_events(Detector(path, tmp_path / "whole").run(method="calibrated"))

    def halves(frames: np.ndarray, mask: np.ndarray, still: bool) -> np.ndarray:
        """Divide every event in the middle of its rows, so that there are parts to be
        named.
        """
        return np.where(
            mask, 1 + (np.arange(mask.shape[1]) >= mask.shape[1] // 2)[:, None], 0
        )

    monkeypatch.setattr(division, "divide", halves)
    monkeypatch.setattr(candidates, "_BLOCK_VOXELS", 40 * 96 * 96)
    table = read_events(
        Detector(path, tmp_path / "parts").run(method="calibrated", split_events=True)
    )
    assert len(table) == 2 * len(whole)
    parts = table.groupby("part_of")
    np.testing.assert_array_equal(parts["v_area"].sum(), whole["v_area"])
    np.testing.assert_array_equal(
        parts["overlap_voxels"].sum(), whole["overlap_voxels"]
    )
    assert whole["overlap_voxels"].sum() > 0
    np.testing.assert_array_equal(parts["confidence"].min(), whole["confidence"])


def test_bright_structures_of_a_raw_recording_divide_nothing() -> None:
    settings = SimulationSettings(
        seed=7402,
        frames=120,
        rows=96,
        columns=96,
        snr=8,
        events=6,
        kinds=("travelling",),
        motion=0,
        contrast=3,
    )
    made = simulate(settings)
    masks = [
        ndimage.binary_dilation(made.labels == n, iterations=2)
        for n in range(1, made.labels.max() + 1)
    ]
    assert [int(divide(made.movie, mask, still=True).max()) for mask in masks] == [
        1
    ] * 6
    assert max(int(divide(made.movie, mask).max()) for mask in masks) > 1


@pytest.mark.parametrize(("kind", "snr"), [("travelling", 1.0), ("static", 1.0)])
def test_a_single_event_stays_one(kind: str, snr: float) -> None:
    settings = SimulationSettings(
        seed=7402,
        frames=120,
        rows=96,
        columns=96,
        snr=snr,
        events=6,
        kinds=(kind,),
        motion=0.3,
        motion_step=0.1,
    )
    made = simulate(settings)
    frames = made.movie - settings.offset - made.f0 * made.bleaching[:, None, None]
    wide = [
        ndimage.binary_dilation(made.labels == n, iterations=2)
        for n in range(1, made.labels.max() + 1)
    ]
    parts = [int(divide(frames, mask).max()) for mask in wide]
    assert len(parts) == 6
    assert parts == [1] * 6
