"""An answer that arrives late changes nothing that the user did meanwhile.

The tests hold back answers of the server, as a slow network does, and release them.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from astrocast.explorer.server.workspace import Workspace

SQUARE = [[4, 4], [4, 12], [12, 12], [12, 4]]


@pytest.fixture(scope="module")
def run(module_run: Path) -> Path:
    return module_run


@pytest.fixture(scope="module")
def client(run: Path, module_serve: Any) -> Any:
    return module_serve(Workspace(run))


@pytest.fixture(scope="module")
def visitor(client: Any, visit: Any) -> Any:
    return visit(client)


@pytest.fixture(autouse=True)
def _without_errors(visitor: Any) -> Iterator[None]:
    yield
    assert visitor.problems == []


@contextmanager
def held(
    visitor: Any, part: str, requests: bool = False
) -> Iterator[Callable[[], None]]:
    """Hold back the first answer to an address with ``part`` until it is called.

    With ``requests`` the server gets the request late; else it answers at once.
    """
    seen: list[Any] = []
    waiting: list[Any] = []

    def handle(route: Any) -> None:
        if seen:
            route.continue_()
            return
        seen.append(route)  # another request may arrive while this one is answered
        waiting.append((route, None if requests else route.fetch()))

    def release() -> None:
        end = time.monotonic() + 60
        while not waiting:
            assert time.monotonic() < end, part
            visitor.page.wait_for_timeout(20)
        route, answer = waiting[0]
        request = route.request
        with visitor.page.expect_event("requestfinished", lambda r: r == request):
            if answer is None:
                route.continue_()
            else:
                route.fulfill(response=answer)
        visitor.page.wait_for_timeout(400)
        # the page has drawn: it has used the answer, also on a busy computer
        visitor.get(
            "new Promise((go) => requestAnimationFrame(() => setTimeout(go, 50)))"
        )

    visitor.page.route(f"**/*{part}*", handle)
    yield release
    visitor.page.unroute(f"**/*{part}*", handle)


def selected(visitor: Any) -> Any:
    return visitor.get("explorer.store.get().selected")


def numbers(visitor: Any) -> list[int]:
    found: list[int] = visitor.get("explorer.table.order()")
    return found


def test_a_late_pixel_does_not_replace_the_selection(visitor: Any) -> None:
    first, second = numbers(visitor)[:2]
    row, column = (
        visitor.get(f"explorer.value({first}, '{n}')") for n in ("v_fp_cx", "v_fp_cy")
    )
    with held(visitor, "/pixel?") as release:
        pixel = {"row": round(row), "column": round(column)}
        visitor.get(f"void explorer.clickPixel({json.dumps(pixel)}, false)")
        visitor.get(f"explorer.selectEvent({second})")
        release()
    assert selected(visitor) == second


def test_a_late_half_does_not_replace_the_selection(visitor: Any) -> None:
    event, other = numbers(visitor)[:2]
    z0, z1 = (visitor.get(f"explorer.value({event}, '{n}')") for n in ("z0", "z1"))
    visitor.get(f"explorer.selectEvent({event})")
    visitor.get(f"explorer.player.go({(z0 + z1) // 2})")
    with held(visitor, "/splits") as release:
        visitor.page.locator("body").press("s")
        visitor.get(f"explorer.selectEvent({other})")
        release()
        visitor.until(f"explorer.rowOf({event}) === undefined")
    assert selected(visitor) == other


def test_an_undo_waits_for_the_decision_before_it(visitor: Any) -> None:
    """Both are sent at once; the decision of the test before stays."""
    before = numbers(visitor)
    visitor.get(f"explorer.selectEvent({before[0]})")
    with held(visitor, "/judgements", requests=True) as release:
        visitor.page.locator("body").press("a")
        visitor.press("Control+z")
        visitor.page.wait_for_timeout(300)
        release()
        visitor.until("explorer.store.get().events.redo === 'accept'")
    assert numbers(visitor) == before
    assert visitor.get(f"explorer.statusOf({before[0]})") == ""


def test_an_older_table_does_not_replace_a_newer_one(visitor: Any) -> None:
    event = numbers(visitor)[0]
    visitor.get(f"explorer.selectEvent({event})")
    with held(visitor, "/events?") as release:  # as it was before the decision
        visitor.get("void explorer.loadEvents()")
        visitor.page.locator("body").press("a")
        visitor.until(f"explorer.statusOf({event}) === 'accepted'")
        release()
    assert visitor.get(f"explorer.statusOf({event})") == "accepted"


def test_a_trace_has_the_name_of_its_event(visitor: Any) -> None:
    first, second = numbers(visitor)[:2]
    label = "explorer.traceSeries.map(s => s.label).join()"
    visitor.press("Escape")
    visitor.get(f"explorer.selectEvent({first})")
    visitor.until(f"{label}.includes('event {first},')")
    with held(visitor, "/trace?") as release:
        visitor.get(f"explorer.selectEvent({second})")
        visitor.get("explorer.store.set({theme: 'other'})")  # draws the plot again
        visitor.page.wait_for_timeout(200)
        assert f"event {first}," in visitor.get(label)
        release()
        visitor.until(f"{label}.includes('event {second},')")


def test_two_quick_strokes_are_both_painted(visitor: Any, run: Path) -> None:
    visitor.page.click("#tab-regions")
    visitor.page.get_by_role("button", name="Brush", exact=True).click()
    with held(visitor, "/regions/brush") as release:
        visitor.drag((20, 10), (20, 16))
        visitor.drag((50, 40), (50, 46))
        release()
        visitor.until("explorer.store.get().regions?.[0]?.rings.length === 2")
    visitor.press("Escape")
    stored = json.loads((run / "recording.regions.geojson").read_text())
    assert len(stored["features"]) == 1


def test_a_region_of_another_tab_stays(visitor: Any, client: Any) -> None:
    """The list in this tab is old when the user draws."""
    before = client.get("/api/projects/0/regions").json()
    other = {"name": "other tab", "kind": "cell", "rings": [SQUARE], "points": []}
    client.put("/api/projects/0/regions", json=[*before, other])
    visitor.page.get_by_role("button", name="Polygon").click()
    visitor.click((30, 30), (30, 40), (40, 40))
    visitor.press("Enter")
    visitor.until(f"explorer.store.get().regions.length === {len(before) + 2}")
    names = {r["name"] for r in client.get("/api/projects/0/regions").json()}
    assert "other tab" in names


def test_a_region_drawn_during_a_refresh_stays(visitor: Any) -> None:
    count = visitor.get("explorer.store.get().regions.length")
    drawn = json.dumps({"name": "new", "kind": "cell", "rings": [SQUARE], "points": []})
    with held(visitor, "/regions?") as release:
        visitor.get("void explorer.refresh()")
        now = "explorer.store.get().regions"
        visitor.get(f"explorer.store.set({{regions: [...{now}, {drawn}]}})")
        release()
    assert visitor.get("explorer.store.get().regions.length") == count + 1
    visitor.get("void explorer.refresh()")
    visitor.until(f"explorer.store.get().regions.length === {count}")


def test_contrast_of_another_layer_is_not_shown(visitor: Any) -> None:
    visitor.page.locator("#layers button", has_text="dF/F").click(modifiers=["Shift"])
    visitor.until("explorer.views.views.length === 2")
    visitor.press("c")
    first, second = visitor.get("explorer.store.get().layers")
    white = visitor.page.get_by_label("White", exact=True)
    for layer in (second, first):
        visitor.page.select_option("select[aria-label=Layer]", layer)
        visitor.page.wait_for_timeout(400)
    expected = white.input_value()
    with held(visitor, "/contrast?") as release:
        visitor.page.select_option("select[aria-label=Layer]", second)
        visitor.page.select_option("select[aria-label=Layer]", first)
        release()
    assert white.input_value() == expected
    visitor.page.locator(".popover [aria-label=Close]").click()
    visitor.page.locator("#layers button", has_text="Registered").click()


def test_an_earlier_preview_is_stopped_and_not_shown(visitor: Any) -> None:
    visitor.page.click("#tab-tune")
    field = visitor.page.locator("#field-detection-calibration-min_size")
    field.wait_for()
    with held(visitor, "/previews", requests=True) as release:
        for value in ("200", "1500"):
            field.fill(value)
            field.press("Tab")
        chosen = "explorer.store.get().preview?.settings.detection.calibration"
        visitor.until(f"{chosen}?.min_size === 1500")
        with visitor.page.expect_request(lambda sent: sent.method == "DELETE"):
            release()
    assert visitor.page.locator("#panel-tune tbody tr").count() == 1
    visitor.press("Escape")


def test_a_result_of_another_stage_is_not_shown(visitor: Any) -> None:
    panel = visitor.page.locator("#panel-tune")
    panel.get_by_role("button", name="Baseline").click()
    with held(visitor, "/previews") as release:
        panel.get_by_role("button", name="Preview", exact=True).click()
        panel.get_by_role("button", name="Motion").click()
        release()
        visitor.page.wait_for_timeout(1500)
    assert panel.locator("canvas").count() == 0


def test_the_cursor_stays_where_it_was_put_during_playback(visitor: Any) -> None:
    visitor.get("explorer.player.go(3)")
    visitor.until("explorer.views.shown === 3")
    with held(visitor, "/contrast?") as release:
        visitor.get("explorer.store.set({layers: ['data/ch0']})")
        visitor.get("explorer.player.toggle()")
        visitor.page.wait_for_timeout(300)
        visitor.get("explorer.player.toggle()")
        visitor.get("explorer.player.go(0)")
        release()
    visitor.until("explorer.views.shown === 0")
    assert visitor.get("explorer.store.get().frame") == 0
    visitor.get("explorer.store.set({layers: ['mc/ch0']})")
    visitor.until("explorer.views.views[0].layer.key === 'mc/ch0'")


def test_a_picture_is_of_the_frame_in_its_name(visitor: Any, tmp_path: Path) -> None:
    visitor.page.click("#tab-share")
    with held(visitor, "/frames?") as release, visitor.page.expect_download() as saved:
        visitor.get("explorer.player.go(77)")
        visitor.page.get_by_role("button", name="PNG").click()
        release()
    assert saved.value.suggested_filename.endswith("-77.png")
    saved.value.save_as(tmp_path / "picture.png")
    visitor.page.wait_for_timeout(300)
    assert visitor.get("explorer.views.shown") == 77
    seen = visitor.get("explorer.views.views[0].canvas.toDataURL()").partition(",")[2]
    assert (tmp_path / "picture.png").read_bytes() == base64.b64decode(seen)
