"""The page in a browser shows what is stored."""

from __future__ import annotations

import base64
import time
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import pandas as pd
import pytest

from astrocast.analysis import Events
from astrocast.explorer.server.workspace import Workspace

WAIT = 180_000
TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def copied(module_run: Path) -> Path:
    return module_run


@pytest.fixture(scope="module")
def page(copied: Path, module_serve: Any, new_page: Any) -> Any:
    """Return the opened page; it fails the tests by errors and foreign requests."""
    client = module_serve(Workspace(copied))
    found = new_page()
    found.requests = []
    found.on("request", lambda request: found.requests.append(request.url))
    found.start = str(client.base_url)
    found.goto(f"{client.base_url}/?token={TOKEN}")
    found.wait_for_selector("body[data-ready]")
    found.client = client
    return found


def seen_pixels(page: Any) -> Any:
    values = page.evaluate("Array.from(explorer.views.views[0].grey)")
    return np.array(values, np.uint8).reshape(64, 64)


def until(page: Any, expression: str) -> None:
    """Wait until an expression is true; the page's policy forbids Playwright's way."""
    end = time.monotonic() + WAIT / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(30)


def go_to(page: Any, frame: int) -> None:
    page.evaluate(f"explorer.player.go({frame})")
    until(page, f"explorer.views.shown === {frame}")


def test_a_first_visit_says_what_to_do(page: Any) -> None:
    lines = page.locator(".hint li").all_inner_texts()
    assert len(lines) == 3
    page.click(".hint button")
    assert page.locator(".hint").count() == 0
    assert "token" not in page.url


def test_steps_show_the_frames_of_the_recording(page: Any, copied: Path) -> None:
    with h5py.File(copied / "recording.h5") as file:
        movie = file["mc/ch0"][:]
    contrast = page.evaluate("explorer.contrastOf('mc/ch0')")
    scale = 255 / (contrast["high"] - contrast["low"])
    go_to(page, 50)
    page.keyboard.press("ArrowRight")
    until(page, "explorer.views.shown === 51")
    expected = np.clip((movie[51] - contrast["low"]) * scale, 0, 255)
    assert np.abs(seen_pixels(page) - expected).max() <= 0.51


def test_playing_goes_on_in_time(page: Any) -> None:
    go_to(page, 10)
    page.keyboard.press("Space")
    until(page, "explorer.views.shown > 14")
    page.keyboard.press("Space")
    assert not page.evaluate("explorer.store.get().playing")


def test_a_click_shows_the_trace_of_the_pixel(page: Any, copied: Path) -> None:
    page.evaluate("explorer.store.set({traceLayer: 'mc/ch0', radius: 0})")
    view = page.locator(".view canvas")
    box = view.bounding_box()
    view.click(position={"x": box["width"] / 2 + 1, "y": box["height"] / 2 + 1})
    until(page, "explorer.traceSeries && explorer.traceSeries.length > 0")
    pixel = page.evaluate("explorer.store.get().pixel")
    assert pixel == {"row": 32, "column": 32}
    label = "explorer.traceSeries.find(s => s.label.startsWith('pixel'))"
    until(page, label)
    with h5py.File(copied / "recording.h5") as file:
        expected = file["mc/ch0"][:, 32, 32]
    np.testing.assert_allclose(
        page.evaluate(f"{label}.values"), expected, rtol=1e-4, atol=1e-3
    )


def test_a_line_of_the_table_is_the_event_everywhere(page: Any) -> None:
    row = page.locator("#panel-events tbody tr[data-event]").nth(2)
    event = int(row.get_attribute("data-event") or 0)
    row.click()
    page.wait_for_selector(f"text=Event {event}")
    span = page.evaluate(
        f"[explorer.value({event}, 'z0'), explorer.value({event}, 'z1')]"
    )
    assert span[0] <= page.evaluate("explorer.store.get().frame") < span[1]
    until(page, f"explorer.traceSeries.some(s => s.label.startsWith('event {event},'))")
    until(
        page,
        "(explorer.outlines.frame(explorer.store.get().frame) || [])"
        f".some(o => o.event === {event})",
    )


def test_a_rejected_event_is_missing_from_the_export(page: Any, copied: Path) -> None:
    event = page.evaluate("explorer.store.get().selected")
    page.select_option("select[aria-label=Reason]", "tiny")
    page.keyboard.press("Escape")
    page.evaluate(f"explorer.selectEvent({event})")
    page.locator("body").press("r")
    until(page, f"explorer.statusOf({event}) === 'rejected'")
    store = copied / "recording.ch0.roi"
    assert event not in Events(store, curated=True).events.index
    page.locator("body").press("Control+z")
    until(page, f"explorer.statusOf({event}) === ''")
    assert event in Events(store, curated=True).events.index


def test_a_late_answer_does_not_move_the_selection(page: Any) -> None:
    """The next key is about the next event, and an event that was chosen stays."""
    page.click("#tab-events")
    first, second, *_, last = page.evaluate("explorer.table.order()")
    page.evaluate(f"explorer.selectEvent({first})")
    page.locator("body").press("a")
    assert page.evaluate("explorer.store.get().selected") == second
    page.locator("body").press("a")
    page.evaluate(f"explorer.selectEvent({last})")
    for event in (first, second):
        until(page, f"explorer.statusOf({event}) === 'accepted'")
    page.wait_for_timeout(300)
    assert page.evaluate("explorer.store.get().selected") == last
    assert page.evaluate(f"explorer.statusOf({last})") == ""


def test_a_changed_parameter_finds_fewer_events(page: Any) -> None:
    page.click("#tab-tune")
    page.wait_for_selector("#field-detection-calibration-min_size")
    page.fill("#field-detection-calibration-min_size", "1500")
    page.keyboard.press("Tab")
    until(page, "explorer.store.get().preview !== null")
    counts = page.evaluate("explorer.store.get().preview.result.counts")
    assert counts["lost"] > 0
    assert page.locator(".field.changed").count() == 1
    page.fill("#field-detection-calibration-min_size", "-3")
    page.keyboard.press("Tab")
    page.wait_for_selector(".message.error:has-text('min_size')")
    page.problems.clear()  # the browser logs the refused request
    page.keyboard.press("Escape")


def test_a_drawn_region_is_saved_and_attributes_events(page: Any, copied: Path) -> None:
    start = page.get_by_role("button", name="Start", exact=True)
    if start.is_visible():  # the box of the first visit lies over the view
        start.click()
    page.click("#tab-regions")
    page.click("text=Polygon")
    box = page.locator(".view canvas").bounding_box()
    size = min(box["width"], box["height"])
    left, top = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for x, y in ((-0.45, -0.45), (0.45, -0.45), (0.45, 0.45), (-0.45, 0.45)):
        page.mouse.click(left + x * size, top + y * size)
    page.keyboard.press("Enter")
    until(page, "explorer.column('region') !== undefined")
    assert (copied / "recording.regions.geojson").exists()
    assert "cell 1" in page.evaluate("explorer.column('region').values")


def shared(page: Any, button: str, tmp_path: Path) -> Path:
    """Press a button of the tab "Share"; return the file that is saved."""
    page.click("#tab-share")
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_pictures_show_what_is_seen(page: Any, tmp_path: Path) -> None:
    from PIL import Image

    page.evaluate("explorer.store.set({outlines: 'footprints', showRegions: false})")
    go_to(page, 30)
    path = shared(page, "PNG", tmp_path)
    assert path.name.endswith("Registered-30.png")
    sides = page.evaluate(
        "(({canvas: c}) => [c.width, c.height])(explorer.views.views[0])"
    )
    with Image.open(path) as picture:
        assert list(picture.size) == sides
        # outlines have colours, the tissue has none
        shown = np.asarray(picture.convert("RGB")).astype(int)
    assert (np.ptp(shown, axis=2) > 60).sum() > 100
    assert (np.ptp(shown, axis=2) == 0).mean() > 0.5

    path = shared(page, "SVG", tmp_path)
    root = ElementTree.parse(path).getroot()
    space = {"s": "http://www.w3.org/2000/svg"}
    events = page.evaluate("explorer.outlines.footprints().map(o => o.event)")
    titles = [t.text for t in root.findall(".//s:path/s:title", space)]
    assert sorted(titles) == sorted(f"event {e}" for e in events)
    assert "µm" in root.find("s:text", space).text
    href = root.find("s:image", space).get("href")
    data = base64.b64decode(href.partition(",")[2])
    with Image.open(BytesIO(data)) as picture:
        image = np.asarray(picture.convert("RGB"))[..., 0]
    np.testing.assert_array_equal(image, seen_pixels(page))


@pytest.mark.parametrize("name", ["CSV", "Excel"])
def test_the_table_is_saved_as_it_is_sorted(
    page: Any, tmp_path: Path, name: str
) -> None:
    if name == "Excel":
        pytest.importorskip("openpyxl", reason="needs the extra `export`")
    path = shared(page, name, tmp_path)
    read = pd.read_csv if name == "CSV" else pd.read_excel
    found = read(path)
    assert found["event"].tolist() == page.evaluate("explorer.table.order()")
    values = [page.evaluate(f"explorer.value({e}, 'v_area')") for e in found["event"]]
    assert found["v_area"].tolist() == pytest.approx(values)


def test_a_small_canvas_asks_for_fewer_pixels(page: Any) -> None:
    """Where the screen has half of the frame's pixels the means of 2 x 2 are sent."""
    go_to(page, 20)
    whole = seen_pixels(page).astype(float)
    small = page.evaluate(
        """async () => {
          const [view] = explorer.views.views;
          const fit = Math.min(view.canvas.clientWidth, view.canvas.clientHeight) / 64;
          explorer.views.camera.scale = 0.5 / fit / (window.devicePixelRatio || 1);
          await explorer.views.load();
          const found = [view.step, Array.from(view.grey)];
          explorer.views.camera.scale = 1;
          explorer.views.redraw();
          return found;
        }"""
    )
    assert small[0] == 2
    blocks = whole.reshape(32, 2, 32, 2)
    # values are clipped before the mean here, after it there
    uncut = ((blocks > 0) & (blocks < 255)).all(axis=(1, 3))
    change = np.reshape(small[1], (32, 32)) - blocks.mean(axis=(1, 3))
    assert uncut.mean() > 0.8
    assert np.abs(change[uncut]).max() <= 1.0
    until(page, "explorer.views.views[0].step === 1")
    np.testing.assert_array_equal(seen_pixels(page), whole)


def test_nothing_went_wrong_and_nothing_came_from_elsewhere(page: Any) -> None:
    assert page.problems == []
    own = (page.start, "blob:", "data:")
    assert [url for url in page.requests if not url.startswith(own)] == []
