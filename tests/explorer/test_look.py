"""The server sends the pixels of the recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from astrocast.explorer.server.frames import FrameCache
from astrocast.explorer.server.workspace import Workspace
from astrocast.io.memory import ArrayRecording
from astrocast.io.stores.event_table import read_events
from astrocast.kernels.frames.contrast import map_contrast

BASE = "/api/projects/0"


def movie(run: Path, loc: str) -> Any:
    with h5py.File(run / "recording.h5") as file:
        return file[loc][:]


def test_a_run_has_all_its_layers(client: Any) -> None:
    found = client.get(BASE).json()
    assert [layer["title"] for layer in found["layers"]] == [
        "Raw",
        "Registered",
        "dF",
        "dF/F",
    ]
    assert (found["frames"], found["rows"], found["columns"]) == (120, 64, 64)
    assert found["frame_rate"] == 5.0
    assert found["pixel_size"] == 0.5


@pytest.mark.parametrize("start", [0, 37, 119])
def test_frames_are_the_recording_s(client: Any, run: Path, start: int) -> None:
    values = {"layer": "mc/ch0", "start": start, "count": 3, "low": 0, "high": 900}
    sent = client.get(f"{BASE}/frames", params=values).content
    expected = movie(run, "mc/ch0")[start : start + 3]
    grey = np.clip((expected - 0.0) * (255 / 900), 0, 255)
    found = np.frombuffer(sent, np.uint8).reshape(expected.shape)
    assert np.abs(found - grey).max() <= 0.5 + 1e-3


def test_dff_is_df_over_the_background(client: Any, run: Path) -> None:
    trace = client.get(
        f"{BASE}/pixel", params={"layer": "dff/ch0", "row": 20, "column": 30}
    ).json()["values"]
    change, source = (movie(run, loc)[:, 20, 30] for loc in ("df/ch0", "mc/ch0"))
    expected = change / np.maximum(source - change, 1.0)
    np.testing.assert_allclose(trace, expected, rtol=1e-4, atol=1e-6)


def test_a_frame_beyond_the_end_is_said(client: Any) -> None:
    values = {"layer": "mc/ch0", "start": 120, "low": 0, "high": 1}
    answer = client.get(f"{BASE}/frames", params=values)
    assert answer.status_code == 422
    assert "frames 0 to 119" in answer.json()["message"]


def test_an_unknown_layer_lists_those_there_are(client: Any) -> None:
    answer = client.get(f"{BASE}/contrast", params={"layer": "nothing"})
    assert answer.status_code == 404
    assert "mc/ch0" in answer.json()["message"]


def test_contrast_is_from_percentiles_of_a_sample_of_frames(
    client: Any, run: Path
) -> None:
    frames = np.unique(np.linspace(0, 119, 12, dtype=int))
    sample = movie(run, "mc/ch0")[frames]
    for low, high in ((0, 100), (1, 99)):
        values = {"layer": "mc/ch0", "low": low, "high": high}
        found = client.get(f"{BASE}/contrast", params=values).json()
        expected = np.percentile(sample, (low, high))
        assert (found["low"], found["high"]) == pytest.approx(tuple(expected), rel=1e-5)


@pytest.mark.parametrize(("kind", "function"), [("mean", np.mean), ("std", np.std)])
def test_projections_are_over_all_frames(
    client: Any, run: Path, kind: str, function: Any
) -> None:
    sent = client.get(
        f"{BASE}/projection", params={"layer": "mc/ch0", "kind": kind}
    ).content
    image = function(movie(run, "mc/ch0").astype(np.float64), axis=0)
    low, high = np.percentile(image, (0.5, 99.8))
    expected = map_contrast(image, low, high).astype(int)
    found = np.frombuffer(sent, np.uint8).reshape(64, 64).astype(int)
    assert np.abs(found - expected).max() <= 1


def test_an_event_s_trace_is_of_its_footprint(client: Any, run: Path) -> None:
    table = read_events(run / "recording.ch0.roi")
    event = int(table.index[0])
    row = table.loc[event]
    trace = client.get(
        f"{BASE}/events/{event}/trace", params={"layer": "df/ch0"}
    ).json()["values"]
    box = movie(run, "df/ch0")[:, row.x0 : row.x1, row.y0 : row.y1]
    expected = box[:, row.footprint].mean(axis=1)
    np.testing.assert_allclose(trace, expected, rtol=1e-4, atol=1e-3)


def test_an_event_tells_its_voxels_and_neighbours(client: Any, run: Path) -> None:
    table = read_events(run / "recording.ch0.roi")
    for event, row in table.iterrows():
        found = client.get(f"{BASE}/events/{event}").json()
        assert found["voxels"] == row["mask"].sum(axis=(1, 2)).tolist()
        assert event in found["same_place"]
        units = {p["name"]: p["unit"] for p in found["properties"]}
        assert units["v_area"] == "voxel"


def test_outlines_enclose_the_event(client: Any, run: Path) -> None:
    import base64

    table = read_events(run / "recording.ch0.roi")
    row = table.iloc[0]
    frame = int(row.z0) + 1
    found = client.get(f"{BASE}/outlines", params={"start": frame}).json()["frames"][0]
    at = found["events"].index(int(table.index[0]))
    points = np.frombuffer(base64.b64decode(found["points"]), "<i2").reshape(-1, 4)
    own = points[found["offsets"][at] : found["offsets"][at + 1]]
    mask = np.pad(row["mask"][1], 1)
    edges = int((mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum())
    length = np.abs(own[:, 2:] - own[:, :2]).sum()
    assert length == edges
    assert own[:, 0].min() == row.x0 + np.flatnonzero(row["mask"][1].any(axis=1))[0]


def test_registration_is_what_motion_recorded(client: Any) -> None:
    found = client.get(f"{BASE}/registration").json()
    assert len(found["rows"]) == 120
    assert "correlation_after" in found["quality"]


def test_a_bare_recording_has_a_quick_df(bare: Path, serve: Any) -> None:
    client = serve(Workspace(bare))
    found = client.get(BASE).json()
    titles = [layer["title"] for layer in found["layers"]]
    trace = client.get(
        f"{BASE}/pixel", params={"layer": "df/ch0", "row": 3, "column": 4}
    ).json()["values"]
    events = client.get(f"{BASE}/events").json()
    own = np.load(bare)[:, 3, 4].astype(float)
    assert titles == ["Raw", "dF", "dF/F"]
    assert found["frame_rate"] is None
    np.testing.assert_allclose(trace, own - np.percentile(own, 20), rtol=1e-4)
    assert events["events"] == []


def test_smaller_frames_are_sent_on_request(client: Any) -> None:
    values = {"layer": "mc/ch0", "start": 3, "low": 0, "high": 900}
    whole = client.get(f"{BASE}/frames", params=values).content
    small = client.get(f"{BASE}/frames", params={**values, "step": 2}).content
    blocks = np.frombuffer(whole, np.uint8).reshape(32, 2, 32, 2).astype(float)
    found = np.frombuffer(small, np.uint8).reshape(32, 32)
    # values are clipped before the mean here, after it there
    uncut = ((blocks > 0) & (blocks < 255)).all(axis=(1, 3))
    assert uncut.mean() > 0.8
    assert np.abs(found - blocks.mean(axis=(1, 3)))[uncut].max() <= 1.0
    refused = client.get(f"{BASE}/frames", params={**values, "step": 0})
    assert refused.status_code == 422


def test_a_block_read_before_a_change_is_not_shown_after_it() -> None:
    cache = FrameCache()

    class Changing(ArrayRecording):
        def read(self, start: int, stop: int, *area: slice) -> Any:
            block = super().read(start, stop, *area)
            cache.clear()  # an answer of the user arrives while the block is read
            return block

    movie = Changing(np.zeros((4, 3, 3), np.float32))
    cache.frames("dff", movie, 0, 4)
    after = ArrayRecording(np.ones((4, 3, 3), np.float32))
    assert (cache.frames("dff", after, 0, 4) == 1).all()
    cache.close()


def test_a_trace_has_no_parameter_without_effect(client: Any) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    found = paths["/api/projects/{project}/events/{event}/trace"]["get"]["parameters"]
    assert {p["name"] for p in found} == {"project", "event", "layer"}


@pytest.mark.parametrize("missing", [False, True])
def test_the_quick_background_is_the_same_for_a_part(missing: bool) -> None:
    from astrocast.explorer.server.computed import QuickChange

    movie = np.random.default_rng(0).normal(100, 5, (30, 40, 50)).astype(np.float32)
    if missing:
        movie[:7, 10, 10] = np.nan
    part = slice(9, 12), slice(9, 12)
    small = QuickChange(ArrayRecording(movie), True).read(0, 30, *part)
    below = np.nanpercentile(movie, 20, axis=0)
    expected = (movie - below) / below
    np.testing.assert_allclose(small, expected[:, 9:12, 9:12], rtol=1e-4, atol=1e-5)
    whole = QuickChange(ArrayRecording(movie), True).read(3, 9)
    np.testing.assert_allclose(whole, expected[3:9], rtol=1e-4, atol=1e-5)
