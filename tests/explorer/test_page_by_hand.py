"""What a person does in the page with the mouse, and with the keyboard alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrocast.analysis import Events
from astrocast.explorer.server.workspace import Workspace


@pytest.fixture(scope="module")
def run(module_run: Path) -> Path:
    return module_run


@pytest.fixture(scope="module")
def client(run: Path, module_serve: Any) -> Any:
    return module_serve(Workspace(run, curator="anna"))


@pytest.fixture(scope="module")
def anna(client: Any, visit: Any) -> Any:
    """A page of curator anna, opened once."""
    return visit(client)


@pytest.fixture(autouse=True)
def _without_errors(request: pytest.FixtureRequest) -> Any:
    yield
    if "anna" in request.fixturenames:
        assert request.getfixturevalue("anna").problems == []


def events(visitor: Any) -> list[int]:
    found: list[int] = visitor.get("explorer.store.get().events.events")
    return found


def longest(visitor: Any) -> int:
    """Return the event with the largest footprint, which can be divided."""
    sizes = visitor.get("explorer.column('v_area').values")
    return events(visitor)[int(np.argmax(sizes))]


def test_an_event_is_split_along_a_line(anna: Any, run: Path) -> None:
    event = longest(anna)
    anna.get(f"explorer.selectEvent({event}, {{go: true}})")
    table = Events(run / "recording.ch0.roi").events
    row = table.loc[event]
    anna.press("l")
    middle = (row.y0 + row.y1) / 2
    anna.drag((row.x0 - 2, middle), (row.x0, middle), (row.x1 + 2, middle))
    anna.until(f"explorer.rowOf({event}) === undefined")
    made = events(anna)[-2:]
    sizes = anna.get(f"{made}.map(e => explorer.value(e, 'v_area'))")
    assert sum(sizes) == row.v_area
    anna.until(f"explorer.store.get().selected === {made[0]}")
    anna.press("Control+z")
    anna.until(f"explorer.rowOf({event}) !== undefined")


def test_an_event_is_drawn_by_hand(anna: Any) -> None:
    before = set(events(anna))
    anna.get("explorer.player.go(40)")
    anna.press("d")
    anna.click((10, 10), (10, 16), (15, 16), (15, 10))
    anna.press("Enter")
    anna.page.wait_for_selector("dialog[open]")
    anna.press("Tab", "Tab", "Enter")  # frames 40 to 44, as suggested
    anna.until(f"explorer.store.get().events.events.length === {len(before) + 1}")
    (made,) = set(events(anna)) - before
    assert anna.get(f"explorer.value({made}, 'v_area')") == 5 * 30
    assert anna.get(f"explorer.statusOf({made})") == "made"


def test_two_people_compare_their_decisions(
    anna: Any, client: Any, run: Path, module_serve: Any, visit: Any
) -> None:
    first, second = events(anna)[:2]
    for event, key in ((first, "a"), (second, "r")):
        anna.page.click("#tab-events")
        anna.get(f"explorer.selectEvent({event})")
        anna.page.locator("body").press(key)
        anna.until(f"explorer.statusOf({event}) !== ''")
    ben = visit(module_serve(Workspace(run, curator="ben")))
    assert ben.get(f"explorer.statusOf({first})") == ""  # of one's own only
    for event in (first, second):
        ben.get(f"explorer.selectEvent({event})")
        ben.page.locator("body").press("a")
        ben.until(f"explorer.statusOf({event}) === 'accepted'")
    ben.page.click("text=Merge, split, draw")
    ben.page.get_by_role("button", name="anna").click()
    text = ben.page.locator("dialog[open]").inner_text()
    assert "Agreement 50 %, Cohen's kappa 0, over 2 events" in text
    ben.page.locator("dialog[open] .chip").click()
    assert ben.get("explorer.store.get().selected") == second
    assert ben.problems == []


def test_tabs_and_a_killed_browser_show_the_same(
    anna: Any, client: Any, visit: Any
) -> None:
    """A second tab follows; a browser that is closed without notice loses nothing."""
    event = events(anna)[2]
    other = visit(client)
    anna.page.click("#tab-events")
    anna.get(f"explorer.selectEvent({event})")
    anna.page.locator("body").press("a")
    anna.until(f"explorer.statusOf({event}) === 'accepted'")
    other.get("document.dispatchEvent(new Event('visibilitychange'))")
    other.until(f"explorer.statusOf({event}) === 'accepted'")
    other.get(f"explorer.selectEvent({event})")
    other.page.locator("body").press("u")
    other.until(f"explorer.statusOf({event}) === ''")
    other.page.context.close()
    again = visit(client)
    assert again.get(f"explorer.statusOf({event})") == ""
    again.page.context.close()
    anna.get("document.dispatchEvent(new Event('visibilitychange'))")
    anna.until(f"explorer.statusOf({event}) === ''")


def test_regions_are_painted_saved_and_loaded(
    anna: Any, run: Path, tmp_path: Path
) -> None:
    page = anna.page
    page.click("#tab-regions")
    page.click("text=Brush")
    anna.drag((30, 10), (30, 20), (34, 40))
    anna.until("(explorer.store.get().regions || []).length === 1")
    painted = anna.get("explorer.store.get().regions[0].rings")
    anna.page.keyboard.down("Alt")
    anna.drag((34, 40), (33, 36))
    anna.page.keyboard.up("Alt")
    anna.until(
        f"JSON.stringify(explorer.store.get().regions[0].rings) !== "
        f"{json.dumps(json.dumps(painted, separators=(',', ':')))}"
    )
    anna.press("Escape")
    page.select_option("select[aria-label=Kind]", "exclusion")
    page.get_by_role("button", name="Polygon").click()
    anna.click((2, 2), (2, 30), (20, 30), (20, 2))
    anna.press("Enter")
    anna.until("explorer.store.get().regions.length === 2")
    page.select_option("select[aria-label=Kind]", "axis")
    page.get_by_role("button", name="Arrow").click()
    anna.drag((60, 32), (50, 32), (40, 32))
    anna.until("explorer.column('v_along_axis 1') !== undefined")
    excluded = anna.get("explorer.column('excluded_share').values")
    assert 0 <= min(excluded) <= max(excluded) <= 1
    # forward along the axis is up in the picture
    along = anna.get("explorer.column('v_along_axis 1').values")
    place = anna.get("explorer.column('v_fp_cx').values")
    assert np.corrcoef(along, place)[0, 1] == pytest.approx(-1)
    for button, suffix in (("Save GeoJSON", "geojson"), ("Save ImageJ", "zip")):
        with page.expect_download() as download:
            page.get_by_role("button", name=button).click()
        path = tmp_path / f"regions.{suffix}"
        download.value.save_as(path)
    page.get_by_label("Remove axis 1").click()
    anna.until("explorer.store.get().regions.length === 2")
    page.set_input_files("input[type=file]", tmp_path / "regions.geojson")
    page.wait_for_selector("text=1 region loaded; 2 existed already")
    names = {r["name"] for r in anna.get("explorer.store.get().regions")}
    assert names == {"cell 1", "exclusion 1", "axis 1"}
    stored = json.loads((run / "recording.regions.geojson").read_text())
    assert len(stored["features"]) == 3


def test_layers_are_side_by_side_and_contrast_is_set_by_hand(anna: Any) -> None:
    page = anna.page
    page.locator("#layers button", has_text="Raw").click(modifiers=["Shift"])
    anna.until("explorer.views.views.length === 2")
    anna.get("explorer.player.go(7)")
    anna.until("explorer.views.shown === 7")
    before = anna.get("Array.from(explorer.views.views[0].grey)")
    page.locator("body").press("c")
    page.get_by_label("Black", exact=True).wait_for()
    low = anna.get("explorer.store.get().layers[0]")
    contrast = anna.get(f"explorer.contrastOf('{low}')")
    page.get_by_label("White", exact=True).fill(str(contrast["high"] * 4))
    page.keyboard.press("Tab")
    anna.until(f"explorer.store.get().contrast['{low}'] !== undefined")
    anna.until(f"explorer.views.views[0].grey.some((v, i) => v !== {before}[i])")
    after = np.array(anna.get("Array.from(explorer.views.views[0].grey)"), float)
    assert after.mean() < np.mean(before)
    page.locator(".popover [aria-label=Close]").click()
    page.locator("#layers button", has_text="Registered").click()
    anna.until("explorer.views.views.length === 1")


def test_any_column_gives_the_colours_of_the_events(anna: Any) -> None:
    by_column = {}
    for name in ("z0", "kind", "v_area"):
        anna.page.get_by_title("Column that colours the events").select_option(name)
        anna.until(f"explorer.store.get().colourBy === '{name}'")
        colours = anna.get(f"{events(anna)}.map((e) => explorer.colourOf(e))")
        values = anna.get(f"explorer.column('{name}').values")
        pairs = list(zip(values, colours, strict=True))
        assert len(set(pairs)) == len(set(values))  # one colour for each value
        by_column[name] = colours
    first, last = np.argmin(values), np.argmax(values)
    assert by_column["v_area"][first] != by_column["v_area"][last]
    assert by_column["v_area"] != by_column["z0"]
    anna.page.get_by_title("Column that colours the events").select_option("z0")


def test_a_channel_is_chosen(tmp_path: Path, module_serve: Any, visit: Any) -> None:
    import tifffile

    movie = np.zeros((6, 2, 16, 16), np.uint16)
    movie[:, 0, :8], movie[:, 1, 8:] = 500, 500
    path = tmp_path / "two.tif"
    tifffile.imwrite(path, movie, imagej=True, metadata={"axes": "TCYX"})
    person = visit(module_serve(Workspace(path)))
    rows = "explorer.views.views[0].grey.map((v) => v > 128 ? 1 : 0)"
    person.until(f"{rows}[0] === 1 && {rows}[255] === 0")
    person.page.get_by_label("Channel").select_option("ch1")
    person.until("explorer.views.views[0].layer.channel === 'ch1'")
    person.until(
        f"explorer.views.views[0].grey && {rows}[0] === 0 && {rows}[255] === 1"
    )
    assert person.problems == []
    person.page.context.close()


def test_the_timeline_says_what_motion_found_and_chooses_events(anna: Any) -> None:
    box = anna.page.locator("#timeline canvas").first.bounding_box()
    anna.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 6)
    anna.page.wait_for_selector("#timeline .popover:not([hidden]):has-text('shift')")
    event = anna.get("explorer.rasterRows()[3].event")
    z0 = anna.get(f"explorer.value({event}, 'z0')")
    # the bar of the fourth event from above
    scale = anna.get(
        f"(() => {{ const [a, b] = explorer.store.get().window;"
        f" return ({z0} + 1 - a) / (b - a); }})()"
    )
    rem = anna.get("parseFloat(getComputedStyle(document.documentElement).fontSize)")
    left, right = 4.4 * rem, box["width"] - 0.8 * rem
    tall = box["height"] - 2 * min(2.3 * rem, 0.2 * box["height"]) - 0.6 * rem
    rows = anna.get("explorer.rasterRows().length")
    anna.page.mouse.click(
        box["x"] + left + scale * (right - left),
        box["y"] + 0.3 * rem + 3.3 * tall / rows,
    )
    anna.until(f"explorer.store.get().selected === {event}")


def test_labels_of_a_short_time_differ(anna: Any) -> None:
    found = anna.get(
        "import('/static/js/format.js').then((m) => [m.formatTicks([0, 1, 2], 15),"
        " m.formatTicks([0, 100], 5), m.formatTicks([0, 5], null)])"
    )
    assert found == [["0 s", "0.067 s", "0.133 s"], ["0 s", "20 s"], [0, 5]]


def test_the_table_is_filtered_and_sorted_by_any_column(anna: Any) -> None:
    page = anna.page
    page.click("#tab-events")
    page.select_option("[aria-label='Column to filter by']", "v_area")
    sizes = sorted(anna.get("explorer.column('v_area').values"))
    page.get_by_label("Lowest value, or text").fill(str(sizes[2]))
    page.get_by_role("button", name="Add", exact=True).click()
    anna.until(f"explorer.table.order().length === {len(sizes) - 2}")
    page.locator("th button", has_text="v_area").click()
    order = anna.get("explorer.table.order().map(e => explorer.value(e, 'v_area'))")
    assert order in (sorted(order), sorted(order, reverse=True))
    page.locator(".chip", has_text="v_area").click()
    anna.until(f"explorer.table.order().length === {len(sizes)}")


def test_settings_are_compared_and_taken_back(anna: Any) -> None:
    page = anna.page
    page.click("#tab-tune")
    field = page.locator("#field-detection-calibration-min_size")
    first = field.input_value()
    words = page.locator("#field-detection-exclude_border-choices option")
    assert words.all_text_contents() == ["auto"]
    for value in ("200", "1500"):
        field.fill(value)
        field.press("Tab")
        anna.until(
            "explorer.store.get().preview?.settings.detection.calibration.min_size"
            f" === {value}"
        )
    rows = page.locator("#panel-tune tbody tr")
    assert rows.count() == 2
    assert "min_size 200" in rows.nth(1).inner_text()
    page.locator("#panel-tune").get_by_role("button", name="Undo").click()
    assert field.input_value() == "200"
    rows.nth(0).get_by_role("button", name="use").click()
    assert field.input_value() == "1500"
    page.locator("#panel-tune").get_by_role("button", name="Reset").click()
    assert field.input_value() == first
    page.get_by_role("button", name="--set", exact=True).click()
    page.wait_for_selector("#panel-tune pre")
    anna.press("Escape")


def test_a_run_in_progress_is_shown_after_the_page_is_loaded_again(
    run: Path, client: Any, visit: Any
) -> None:
    person = visit(client)
    panel = person.page.locator("#panel-tune")
    person.page.click("#tab-tune")
    panel.get_by_label("Name of the new results").fill("whole")
    panel.get_by_role("button", name="Run on the whole recording").click()
    panel.get_by_role("button", name="Cancel").wait_for()
    person.page.reload()
    person.page.wait_for_selector("body[data-ready]")
    panel.get_by_role("button", name="Cancel").wait_for()
    assert panel.get_by_role("button", name="Run on the whole recording").is_disabled()
    panel.locator("a.button", has_text="Open").wait_for()
    assert (run.parent / "whole" / "report.html").exists()
    assert person.problems == []
    person.page.context.close()


def test_a_film_is_saved(anna: Any, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs the extra `video`")
    page = anna.page
    page.click("#tab-share")
    page.get_by_label("First frame").fill("10")
    page.get_by_label("Last frame").fill("13")
    with page.expect_download() as download:
        page.get_by_role("button", name="MP4").click()
    download.value.save_as(tmp_path / "clip.mp4")
    with av.open(tmp_path / "clip.mp4") as film:
        frames = [f.to_ndarray(format="rgb24") for f in film.decode(video=0)]
    assert len(frames) == 4


def test_everything_is_reached_by_keyboard(client: Any, visit: Any) -> None:
    """No pointer: look, select, decide, click a pixel, draw, change the tab."""
    person = visit(client)
    before = len(events(person))
    person.press("End")
    person.until("explorer.views.shown === 119")
    person.press("n")
    first = person.get("explorer.store.get().selected")
    person.press("u", "a")
    person.until(f"explorer.statusOf({first}) === 'accepted'")
    person.press("u")
    # a pixel: the pointer begins in the middle
    person.press("Shift+ArrowUp", "Control+Shift+ArrowLeft", "x")
    person.until("explorer.store.get().pixel !== null")
    assert person.get("explorer.store.get().pixel") == {"row": 31, "column": 22}
    person.until("explorer.traceSeries.some(s => s.label === 'pixel 31, 22')")
    # an event: a square of ten pixels a side
    person.press("d", "x", "Control+Shift+ArrowRight", "x")
    person.press("Control+Shift+ArrowDown", "x", "Control+Shift+ArrowLeft", "x")
    person.press("Enter")
    person.page.wait_for_selector("dialog[open]")
    person.press("Tab", "Tab", "Enter")
    person.until(f"explorer.store.get().events.events.length === {before + 1}")
    made = max(events(person))
    sides = [f"explorer.value({made}, '{n}')" for n in ("dx", "dy")]
    assert [person.get(side) for side in sides] == [10, 10]
    # along a line through it
    person.get("explorer.player.go(explorer.store.get().frame)")
    person.press("l", "Shift+ArrowUp", "Control+Shift+ArrowRight")
    person.press("Control+Shift+ArrowUp", "Control+Shift+ArrowLeft")
    person.press(*["Shift+ArrowRight"] * 5, "x", *["Control+Shift+ArrowDown"] * 2, "x")
    person.until(f"explorer.rowOf({made}) === undefined")
    # what is asked about its half is answered before that is undone
    half = "explorer.store.get().selected"
    person.until(f"explorer.store.get().place?.startsWith({half} + '/')")
    person.until(f"explorer.traceSeries.some(s => s.label.includes({half}))")
    person.press("Control+z")
    person.until(f"explorer.rowOf({made}) !== undefined")
    person.press("Control+z")
    person.until(f"explorer.store.get().events.events.length === {before}")
    # the panels, and two layers side by side
    person.page.focus("#tab-events")
    person.press("ArrowRight", "ArrowRight")
    assert person.page.locator("#panel-regions").is_visible()
    person.page.locator("#layers button", has_text="Raw").focus()
    person.press("Shift+Enter")
    person.until("explorer.views.views.length === 2")
    person.press("?")
    assert person.page.locator("dialog[open] kbd").count() > 20
    assert person.problems == []
    person.page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_bare_recording_asks_for_what_it_does_not_say(
    tmp_path: Path, module_serve: Any, visit: Any, theme: str
) -> None:
    values = np.random.default_rng(3).integers(100, 4000, (12, 20, 30))
    np.save(tmp_path / "bare.npy", values.astype(np.uint16))
    client = module_serve(Workspace(tmp_path / "bare.npy"))
    person = visit(client, color_scheme=theme)
    banner = person.page.locator("#banner")
    text = banner.inner_text()
    for name in ("Frame rate", "times in seconds", "Pixel size", "scale bar", "dF/F"):
        assert name in text
    banner.get_by_label("Frame rate").fill("4")
    banner.get_by_label("Pixel size").fill("0.5")
    banner.get_by_label("Camera offset").fill("100")
    banner.get_by_role("button", name="Save").click()
    person.until(
        "window.explorer?.info.frame_rate === 4 && document.body.dataset.ready"
    )
    assert not banner.is_visible()
    assert person.get("explorer.info.pixel_size") == 0.5
    # the answers are kept for the next start
    again = visit(module_serve(Workspace(tmp_path / "bare.npy")))
    assert again.get("explorer.info.frame_rate") == 4
    assert not again.page.locator("#banner").is_visible()
    assert contrast_of_text(person) >= 4.5
    assert (background(person).mean() < 60) == (theme == "dark")
    assert person.problems == []


def colour(visitor: Any, what: str) -> Any:
    text = visitor.get(f"getComputedStyle(document.body).{what}")
    return np.array(text[text.index("(") + 1 : -1].split(",")[:3], float)


def background(visitor: Any) -> Any:
    return colour(visitor, "backgroundColor")


def contrast_of_text(visitor: Any) -> float:
    """Return the contrast of WCAG 2 between text and page."""

    def luminance(rgb: Any) -> float:
        share = rgb / 255
        linear = np.where(
            share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4
        )
        return float(linear @ [0.2126, 0.7152, 0.0722])

    both = [luminance(colour(visitor, "color")), luminance(background(visitor))]
    return (max(both) + 0.05) / (min(both) + 0.05)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (3840, 2160)])
def test_it_fits_on_small_and_large_screens(
    client: Any, visit: Any, width: int, height: int
) -> None:
    """Nothing is outside, letters grow with the screen, the movie has its share."""
    person = visit(client, width=width, height=height)
    for tab in ("tune", "regions", "share", "events"):
        person.page.click(f"#tab-{tab}")
        assert person.get("document.documentElement.scrollWidth") <= width
        assert person.get("document.documentElement.scrollHeight") <= height
        panel = f"document.querySelector('#panel-{tab}')"
        assert person.get(f"{panel}.scrollWidth - {panel}.clientWidth") <= 1
    size = person.get("parseFloat(getComputedStyle(document.body).fontSize)")
    assert size >= 13 * min(width / 1280, 1.5)
    box = person.page.locator(".view canvas").bounding_box()
    assert box["width"] * box["height"] > 0.25 * width * height
    person.page.context.close()


def test_another_recording_is_opened_below_the_root(
    run: Path, module_serve: Any, visit: Any
) -> None:
    client = module_serve(Workspace(run, root=run.parent))
    person = visit(client)
    person.page.get_by_role("button", name="Open").click()
    person.page.locator("dialog[open] button", has_text="movie.h5").click()
    person.until("explorer.info.title.includes('movie') && document.body.dataset.ready")
    assert person.get("explorer.info.has_events") is False
    assert person.problems == []
