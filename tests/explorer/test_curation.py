"""Decisions are kept beside the events, apply to exports, and change nothing else."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrocast.analysis import Events
from astrocast.events.curation import Decision
from astrocast.explorer.server.project import Project
from astrocast.io.stores.curation import now
from astrocast.io.stores.event_table import read_events

BASE = "/api/projects/0"


def fingerprint(store: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.iterdir())
    }


def events_of(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{BASE}/events").json()
    return found


def column(found: dict[str, Any], name: str) -> dict[int, Any]:
    values = next(c["values"] for c in found["columns"] if c["name"] == name)
    return dict(zip(found["events"], values, strict=True))


def judge(client: Any, kind: str, events: list[int], reason: str = "") -> Any:
    body = {"kind": kind, "events": events, "reason": reason}
    return client.post(f"{BASE}/judgements", json=body)


def test_a_rejected_event_is_missing_from_the_curated_table(
    client: Any, run: Path
) -> None:
    store = run / "recording.ch0.roi"
    before = fingerprint(store)
    first = events_of(client)["events"][0]
    assert judge(client, "reject", [first], "edge").status_code == 200
    found = events_of(client)
    assert column(found, "curation")[first] == "rejected"
    assert column(found, "curation_reason")[first] == "edge"
    assert first not in Events(store, curated=True).events.index
    assert first in Events(store).events.index
    assert fingerprint(store) == before
    body = {"events": found["events"], "curated": True}
    text = client.post(f"{BASE}/table", json=body).text
    assert len(text.splitlines()) == len(found["events"])  # a header, one event less


def test_a_rejection_needs_a_reason(client: Any) -> None:
    answer = judge(client, "reject", [1])
    assert answer.status_code == 422
    assert "choose a reason" in answer.json()["message"]


def test_an_unknown_event_is_refused(client: Any) -> None:
    assert (
        "events [999] do not exist" in judge(client, "accept", [999]).json()["message"]
    )


def test_undo_and_redo_go_back_and_forth(client: Any) -> None:
    first = events_of(client)["events"][0]
    judge(client, "accept", [first])
    judge(client, "reject", [first], "tiny")
    for path, expected in (
        ("undo", "accepted"),
        ("undo", None),
        ("redo", "accepted"),
        ("redo", "rejected"),
    ):
        assert client.post(f"{BASE}/{path}").status_code == 200
        assert (column(events_of(client), "curation")[first] or None) == expected
    assert client.post(f"{BASE}/redo").status_code == 422


def test_a_split_event_is_two_and_merging_gives_it_back(client: Any, run: Path) -> None:
    store = run / "recording.ch0.roi"
    table = read_events(store)
    event, row = int(table.index[0]), table.iloc[0]
    made = client.post(
        f"{BASE}/splits", json={"event": event, "frame": int(row.z0) + 3}
    ).json()["made"]
    assert len(made) == 2
    assert min(made) > table.index.max()
    assert event not in events_of(client)["events"]
    [merged] = client.post(f"{BASE}/merges", json={"events": made}).json()["made"]
    curated = Events(store, curated=True).events
    assert merged in curated.index
    assert event not in curated.index
    for name in table.columns:
        if name.startswith(("v_", "z", "x", "y", "d")):
            same = table.loc[event, name], curated.loc[merged, name]
            if isinstance(same[0], (int, float, np.number)):
                np.testing.assert_allclose(same[1], same[0], rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(curated.loc[merged, "trace"], row["trace"], rtol=1e-4)
    assert (curated.loc[merged, "mask"] == row["mask"]).all()


def test_a_line_divides_the_voxels(client: Any, run: Path) -> None:
    row = read_events(run / "recording.ch0.roi").iloc[0]
    middle = float(row.x0 + row.x1) / 2
    line = [[middle, float(row.y0 - 5)], [middle, float(row.y1 + 5)]]
    answer = client.post(
        f"{BASE}/splits", json={"event": int(row.name), "line": line}
    ).json()
    sizes = [column(events_of(client), "v_area")[e] for e in answer["made"]]
    assert sum(sizes) == row.v_area


def test_a_drawn_event_has_the_pixels_within(client: Any) -> None:
    square = [[10, 10], [10, 14], [13, 14], [13, 10]]
    body = {"polygon": square, "first": 4, "last": 6}
    [made] = client.post(f"{BASE}/drawings", json=body).json()["made"]
    found = client.get(f"{BASE}/events/{made}").json()
    assert found["voxels"] == [12, 12, 12]
    assert (found["z0"], found["z1"]) == (4, 7)
    assert found["rows"] == [10, 13]


def test_decisions_survive_a_killed_server(client: Any, run: Path, serve: Any) -> None:
    from astrocast.explorer.server.workspace import Workspace

    first = events_of(client)["events"][0]
    judge(client, "reject", [first], "own words")
    log = run / "recording.ch0.curation.jsonl"
    with log.open("a") as file:
        file.write('{"format": "astrocast cura')  # cut off in the middle of a line
    again = serve(Workspace(run))
    assert column(events_of(again), "curation_reason")[first] == "own words"
    judge(again, "accept", [first])
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["reject", "accept"]


def test_two_curators_are_compared(run: Path, serve: Any) -> None:
    from astrocast.explorer.server.workspace import Workspace

    anna, ben = (serve(Workspace(run, curator=name)) for name in ("anna", "ben"))
    events = events_of(anna)["events"][:4]
    judge(anna, "accept", events[:2])
    judge(anna, "reject", events[2:4], "tiny")
    judge(ben, "accept", [events[0]])
    judge(ben, "reject", events[1:4], "tiny")
    found = anna.get(f"{BASE}/agreement", params={"other": "ben"}).json()
    assert found["agreement"] == 0.75
    assert found["kappa"] == 0.5
    assert found["differ"] == [events[1]]
    assert anna.get(f"{BASE}/curation").json()["curators"] == ["anna", "ben"]


def test_decisions_about_another_detection_do_not_count(
    client: Any, run: Path, serve: Any
) -> None:
    from astrocast.explorer.server.workspace import Workspace
    from astrocast.io.stores.event_store import TABLE

    judge(client, "reject", [events_of(client)["events"][0]], "tiny")
    table = run / "recording.ch0.roi" / TABLE
    import pyarrow.parquet as pq

    changed = pq.read_table(table).slice(0, 2)
    pq.write_table(changed, table)
    found = events_of(serve(Workspace(run)))
    assert found["other_decisions"] == 1
    assert set(column(found, "curation").values()) == {""}


def test_decisions_at_the_same_time_give_different_numbers(client: Any) -> None:
    """Two tabs draw at once: no two events have one number."""
    square = [[10, 10], [10, 14], [13, 14], [13, 10]]

    def draw(first: int) -> int:
        body = {"polygon": square, "first": first, "last": first + 1}
        [made] = client.post(f"{BASE}/drawings", json=body).json()["made"]
        return int(made)

    before = events_of(client)["events"]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(draw, range(0, 40, 5)))
    assert len(set(made)) == 8
    found = events_of(client)
    assert sorted(found["events"]) == sorted([*before, *made])
    first = column(found, "z0")
    assert [first[event] for event in made] == list(range(0, 40, 5))


def test_what_a_request_has_read_stays_while_another_decides(run: Path) -> None:
    project = Project(run)
    before = project.events
    assert before is not None
    numbers, outlines = before.numbers.tolist(), before.outlines(None).points.copy()
    project.decide(Decision("merge", now(), tuple(numbers[:2]), made=()))
    assert before.numbers.tolist() == numbers
    np.testing.assert_array_equal(before.outlines(None).points, outlines)
    assert project.events.numbers.tolist() == numbers[2:]
    project.close()


@pytest.mark.parametrize("frame", [0, 119])
def test_a_split_outside_the_event_is_refused(client: Any, frame: int) -> None:
    answer = client.post(f"{BASE}/splits", json={"event": 1, "frame": frame})
    assert answer.status_code == 422
    assert "does not divide" in answer.json()["message"]
