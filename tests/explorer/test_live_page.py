"""The page of a recording that is analysed while it is recorded, in a browser."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from astrocast.explorer.server.workspace import Workspace

WAIT = 180_000
TOKEN = "a-token-of-the-tests"
NAMES = "event_id,kind,z0,z1,x0,y0,v_area,snr,confidence"


def write_state(folder: Path, **values: Any) -> None:
    state = {
        "status": "watching",
        "frames": 900,
        "done": 890,
        "seconds": 29.7,
        "behind_s": 0.3,
        "events": 3,
        "frame_rate": 30.0,
        "bad_frames": 2,
        "largest_shift_px": 1.25,
        "skipped": [],
        "latency_median_s": 1.1,
        "rate_bin_s": 10,
        "rates": [0, 1, 2],
    }
    path = folder / "state.json"
    path.write_text(json.dumps(state | values), encoding="utf-8")


@pytest.fixture
def watched(run: Path) -> Path:
    """A run directory with the folder of a watch that is under way."""
    folder = run / "live"
    folder.mkdir()
    write_state(folder)
    rows = [f"{i},local,{10 * i},{10 * i + 5},4,5,30,6.25,0.999" for i in (1, 2, 3)]
    text = "\n".join([NAMES, *rows]) + "\n"
    (folder / "events.csv").write_text(text, encoding="utf-8")
    return run


@pytest.fixture
def page(watched: Path, serve: Any, new_page: Any) -> Iterator[Any]:
    client = serve(Workspace(watched))
    found = new_page(width=900)
    found.goto(f"{client.base_url}/?token={TOKEN}")
    found.goto(f"{client.base_url}/live")
    found.wait_for_selector("body[data-ready]")
    yield found
    assert found.problems == []


def until_text(page: Any, selector: str, part: str) -> str:
    end = time.monotonic() + WAIT / 1000
    while part not in (text := page.inner_text(selector)):
        assert time.monotonic() < end, (part, text)
        page.wait_for_timeout(50)
    return str(text)


def test_the_page_shows_rates_events_and_what_is_left_out(
    page: Any, watched: Path
) -> None:
    folder = watched / "live"
    assert until_text(page, "#status", "Watching") == "Watching."
    assert page.get_attribute("#status", "class") == ""
    numbers = page.inner_text("#numbers")
    for part in ("890 of 900", "29.7 s", "1.1 s", "1.25 px"):
        assert part in numbers
    # the latest event first, and a bar for each ten seconds: 2 in 10 s are 12 a minute
    rows = page.locator("#events tbody tr")
    assert rows.count() == 3
    assert rows.first.locator("td").first.inner_text() == "3"
    assert "12 per minute" in page.locator("#rates text").first.text_content()
    heights = page.eval_on_selector_all(
        "#rates rect", "bars => bars.map(bar => +bar.getAttribute('height'))"
    )
    assert heights == pytest.approx([0, 57.5, 115])
    # it falls behind, and drops frames: both are said
    write_state(folder, behind_s=12.5, skipped=[[500, 620], [700, 705]])
    said = until_text(page, "#status", "behind the recording")
    assert "12.5 s behind the recording." in said
    assert "125 frames were left out of the live analysis." in said
    assert page.get_attribute("#status", "class") == "warn"
    agreement = {"f1": 0.975, "live": 40, "full": 41}
    (folder / "agreement.json").write_text(json.dumps(agreement), encoding="utf-8")
    write_state(folder, status="complete")
    assert "F1 0.975 (40 and 41 events)" in until_text(page, "#results", "F1")
    page.click("#results button")
    page.wait_for_url("**/?project=*")
    page.wait_for_selector("body[data-ready]")
