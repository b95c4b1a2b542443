"""Shared tables and film clips equal the view."""

from __future__ import annotations

from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from astrocast.io.stores.event_table import read_events

BASE = "/api/projects/0"


def test_the_table_has_the_listed_events_in_their_order(client: Any, run: Path) -> None:
    table = read_events(run / "recording.ch0.roi")
    wanted = [int(table.index[2]), int(table.index[0])]
    answer = client.post(f"{BASE}/table", json={"events": wanted})
    found = pd.read_csv(StringIO(answer.text), index_col="event")
    assert found.index.tolist() == wanted
    assert found["v_area"].tolist() == table.loc[wanted, "v_area"].tolist()


def test_a_clip_shows_the_frames(client: Any) -> None:
    av = pytest.importorskip("av", reason="needs the extra `video`")
    body = {"layer": "mc/ch0", "first": 3, "last": 9, "low": 0, "high": 900}
    plain = client.post(f"{BASE}/clip", json={**body, "outlines": False}).content
    with av.open(BytesIO(plain)) as film:
        frames = [f.to_ndarray(format="gray") for f in film.decode(video=0)]
    assert len(frames) == 7
    assert frames[0].shape == (1024, 1024)
    values = {"layer": "mc/ch0", "start": 3, "low": 0, "high": 900}
    sent = client.get(f"{BASE}/frames", params=values).content
    grey = np.frombuffer(sent, np.uint8).reshape(64, 64).astype(float)
    small = frames[0].reshape(64, 16, 64, 16).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), grey.ravel())[0, 1] > 0.99


def test_a_clip_has_outlines_in_the_colours_of_the_page(client: Any, run: Path) -> None:
    av = pytest.importorskip("av", reason="needs the extra `video`")
    row = read_events(run / "recording.ch0.roi").iloc[0]
    frame = int(row.z0 + row.z1) // 2
    body = {"layer": "mc/ch0", "first": frame, "last": frame, "low": 0, "high": 900}
    red = {}
    for outlines in (True, False):
        colours = {int(row.name): "#ff0000"}
        wanted = {**body, "outlines": outlines, "colours": colours}
        data = client.post(f"{BASE}/clip", json=wanted).content
        with av.open(BytesIO(data)) as film:
            picture = next(film.decode(video=0)).to_ndarray(format="rgb24").astype(int)
        red[outlines] = int((picture[..., 0] - picture[..., 1:].max(axis=2) > 80).sum())
    assert red[False] == 0
    assert red[True] > 100


def test_a_clip_that_ends_before_it_begins_is_refused(client: Any) -> None:
    body = {"layer": "mc/ch0", "first": 9, "last": 3, "low": 0, "high": 1}
    assert client.post(f"{BASE}/clip", json=body).status_code == 422
