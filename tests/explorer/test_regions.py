"""Regions are kept as GeoJSON, read from ImageJ, and appear as columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrocast.errors import FormatError, InvalidValueError
from astrocast.io.stores.event_table import read_events
from astrocast.io.stores.regions import (
    Region,
    check_regions,
    parse_geojson,
    parse_imagej,
    read_regions,
    to_geojson,
    to_imagej,
)

BASE = "/api/projects/0"
LEFT = [[0.0, 0.0], [0.0, 32.0], [64.0, 32.0], [64.0, 0.0]]
CELL = {"name": "left", "kind": "cell", "rings": [LEFT], "points": []}
TIP = {"name": "tip", "kind": "landmark", "rings": [], "points": [[10.5, 20.5]]}
AXIS = {"name": "front", "kind": "axis", "rings": [], "points": [[0, 0], [0, 64]]}


def columns_of(client: Any) -> dict[str, dict[str, Any]]:
    found = client.get(f"{BASE}/events").json()["columns"]
    return {c["name"]: c for c in found}


def test_regions_become_columns(client: Any, run: Path) -> None:
    assert client.put(f"{BASE}/regions", json=[CELL, TIP, AXIS]).status_code == 200
    table, found = read_events(run / "recording.ch0.roi"), columns_of(client)
    for i, (_, row) in enumerate(table.iterrows()):
        _, columns = np.nonzero(row["footprint"])
        share = float((columns + row.y0 < 32).mean())
        assert found["region"]["values"][i] == ("left" if share > 0 else "")
        assert found["region_share"]["values"][i] == pytest.approx(share, abs=1e-5)
        away = np.hypot(10 - row.v_fp_cx, 20 - row.v_fp_cy) * 0.5
        assert found["v_distance_tip"]["values"][i] == pytest.approx(away, rel=1e-3)
        along = (row.v_fp_cy + 0.5) * 0.5
        assert found["v_along_front"]["values"][i] == pytest.approx(along, rel=1e-3)
    assert found["v_distance_tip"]["unit"] == "µm"
    assert "v_direction_tip_from_front" in found
    assert read_regions(run / "recording.h5")[0].name == "left"


def test_a_brush_adds_and_erases(client: Any) -> None:
    stroke = {"path": [[20.5, 20.5]], "radius": 5.0}
    rings = client.post(f"{BASE}/regions/brush", json=stroke).json()["rings"]
    painted = Region("", "cell", tuple(tuple(map(tuple, r)) for r in rings))
    assert painted.mask((64, 64)).sum() == 81
    hole = {"rings": rings, "path": [[20.5, 20.5]], "radius": 2.0, "erase": True}
    rings = client.post(f"{BASE}/regions/brush", json=hole).json()["rings"]
    ring = Region("", "cell", tuple(tuple(map(tuple, r)) for r in rings))
    assert len(rings) == 2
    assert ring.mask((64, 64)).sum() == 81 - 13


def test_two_regions_of_a_name_are_refused(client: Any) -> None:
    answer = client.put(f"{BASE}/regions", json=[CELL, CELL])
    assert answer.status_code == 422
    assert "used twice" in answer.json()["message"]
    assert client.get(f"{BASE}/regions").json() == []


SOME = [
    Region("a", "cell", (((0, 0), (0, 9), (9, 9), (9, 0)), ((2, 2), (2, 4), (4, 4)))),
    Region("b", "exclusion", (((1, 1), (1, 3), (3, 1)),)),
    Region("c", "landmark", points=((4.5, 6.5),)),
    Region("d", "axis", points=((1.0, 2.0), (8.0, 3.0))),
]


def test_geojson_goes_and_comes() -> None:
    data = json.dumps(to_geojson(SOME)).encode()
    found = parse_geojson(data)
    assert [(r.name, r.kind, r.points) for r in found] == [
        (r.name, r.kind, r.points) for r in SOME
    ]
    for region, again in zip(SOME[:2], found[:2], strict=True):
        assert (again.mask((10, 10)) == region.mask((10, 10))).all()


def test_imagej_goes_and_comes() -> None:
    pytest.importorskip("roifile", reason="needs the extra `export`")
    found = parse_imagej(to_imagej(SOME[1:]))
    assert [r.name for r in found] == ["b", "c", "d"]
    assert [r.kind for r in found] == ["exclusion", "landmark", "axis"]
    assert (found[0].mask((10, 10)) == SOME[1].mask((10, 10))).all()
    np.testing.assert_allclose(found[1].points, SOME[2].points)
    np.testing.assert_allclose(found[2].points, SOME[3].points)


@pytest.mark.parametrize(
    "data", [b"no json", b'{"features": [{"geometry": {}}]}', b'{"features": 3}']
)
def test_what_is_no_geojson_is_said(data: bytes) -> None:
    with pytest.raises(FormatError, match="GeoJSON"):
        parse_geojson(data)


def test_all_that_is_wrong_is_said_at_once() -> None:
    wrong = [Region("", "cell"), Region("x", "axis", points=((1, 1), (1, 1)))]
    with pytest.raises(InvalidValueError) as error:
        check_regions(wrong)
    assert "no name" in str(error.value)
    assert "two different points" in str(error.value)


def test_a_file_that_is_sent_is_read_and_not_saved(client: Any) -> None:
    data = json.dumps(to_geojson(SOME)).encode()
    found = client.post(f"{BASE}/regions/import", content=data).json()
    assert [r["name"] for r in found] == ["a", "b", "c", "d"]
    assert client.get(f"{BASE}/regions").json() == []


def test_kinds_of_parts_survive_both_formats():
    ring = ((0.0, 0.0), (0.0, 9.0), (9.0, 9.0), (9.0, 0.0))
    kinds = ("cell", "soma", "process", "endfoot", "exclusion")
    regions = [Region(f"a {kind}", kind, (ring,)) for kind in kinds]
    assert parse_geojson(json.dumps(to_geojson(regions)).encode()) == regions
    found = parse_imagej(to_imagej(regions))
    assert [(r.name, r.kind) for r in found] == [(r.name, r.kind) for r in regions]


def test_cells_are_found_in_the_mean_image(client: Any, run: Path) -> None:
    body = {"layer": "mc/ch0", "diameter": 12, "parts": True}
    answer = client.post(f"{BASE}/regions/segment", json=body)
    found = answer.json()
    assert answer.status_code == 200, found
    assert {"cell", "process"} <= {region["kind"] for region in found}
    saved = client.put(f"{BASE}/regions", json=found)
    assert saved.status_code == 200, saved.json()
    table = client.get(f"{BASE}/events").json()
    names = [column["name"] for column in table["columns"]]
    assert {"region", "part", "part_kind"} <= set(names)
    wrong = client.post(f"{BASE}/regions/segment", json={**body, "diameter": 0.5})
    assert wrong.status_code == 422
    assert "diameter" in wrong.json()["message"]
