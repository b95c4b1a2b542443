"""Screenshots of docs/how-to/explore.md: the views of the explorer on the demo.

Needs Chromium and the run of ``astrocast demo``: python make_explorer.py RUN_DIRECTORY
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from astrocast.explorer.server.access import Access
from astrocast.explorer.server.app import create_app
from astrocast.explorer.server.serve import listen
from astrocast.explorer.server.workspace import Workspace

HERE = Path(__file__).parent
COMPUTED = (
    "[...document.querySelectorAll('[role=status]')]"
    ".some(e => e.textContent.startsWith('done in'))"
)
REGIONS = [
    {
        "name": "cell A",
        "kind": "cell",
        "rings": [[[20, 28], [14, 50], [30, 66], [56, 58], [58, 30], [40, 20]]],
    },
    {
        "name": "cell B",
        "kind": "cell",
        "rings": [[[110, 25], [100, 50], [120, 75], [150, 70], [155, 30]]],
    },
    {
        "name": "vessel",
        "kind": "landmark",
        "rings": [
            [
                *([0, 150], [60, 135], [120, 150], [191, 140]),
                *([191, 150], [120, 160], [60, 146], [0, 160]),
            ]
        ],
    },
    {"name": "anterior", "kind": "axis", "points": [[180, 100], [130, 110]]},
]


#: the details of the selected event, its trace and its outline are there
SHOWN = (
    "explorer.place.length > 0 && explorer.traceSeries?.length > 0"
    " && !document.querySelector('#panel-events').textContent.includes('loading')"
    " && Array.isArray(explorer.outlines.frame(explorer.store.get().frame))"
)


def until(page: Any, expression: str) -> None:
    while not page.evaluate(expression):
        page.wait_for_timeout(100)
    page.wait_for_timeout(600)


def look(page: Any) -> None:
    page.evaluate("explorer.store.set({layers: ['mc/ch0', 'dff/ch0']})")
    page.evaluate("explorer.selectEvent(13, {go: true})")
    until(page, SHOWN)


def tune(page: Any) -> None:
    page.evaluate("explorer.store.set({layers: ['mc/ch0']})")
    page.evaluate("explorer.selectEvent(20, {go: true})")
    page.click("#tab-tune")
    field = "#field-detection-calibration-"
    page.wait_for_selector(field + "extent")
    for name, value in (("extent", "0.28"), ("min_size", "900")):
        page.fill(field + name, value)
        page.keyboard.press("Tab")
        page.wait_for_timeout(400)
        until(page, COMPUTED)
    page.wait_for_timeout(3000)
    page.evaluate("document.querySelector('#panel-tune .scroll').scrollTo(0, 0)")
    page.wait_for_timeout(300)


def curate(page: Any) -> None:
    page.click("#tab-events")
    page.keyboard.press("Escape")
    page.evaluate("explorer.store.set({outlines: 'footprints', colourBy: 'curation'})")
    for event, key in ((1, "a"), (2, "a"), (4, "r"), (5, "a"), (9, "r")):
        page.evaluate(f"explorer.selectEvent({event}, {{go: true}})")
        page.wait_for_timeout(300)
        page.locator("body").press(key)
        page.wait_for_timeout(900)
    page.evaluate("explorer.selectEvent(10, {go: true})")
    until(page, SHOWN)


def regions(page: Any) -> None:
    page.evaluate(
        """async (regions) => {
          const headers = {'content-type': 'application/json', 'x-astrocast': '1'};
          const body = JSON.stringify(regions);
          const path = explorer.base + '/regions';
          const found = await fetch(path, {method: 'PUT', headers, body});
          explorer.store.set({regions: await found.json(), colourBy: 'region'});
          await explorer.loadEvents();
        }""",
        REGIONS,
    )
    page.click("#tab-regions")
    page.wait_for_timeout(1500)


VIEWS = {"look": look, "tune": tune, "curate": curate, "regions": regions}


def main() -> None:
    source = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "demo"
        shutil.copytree(source, run)
        listening = listen("127.0.0.1", 0)
        access = Access("127.0.0.1", listening.getsockname()[1])
        app = create_app(Workspace(run), access, warm=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(300_000)
            page.add_init_script("localStorage.setItem('astrocast-hint-seen', '1')")
            page.goto(access.url)
            page.wait_for_selector("body[data-ready]")
            for name, show in VIEWS.items():
                show(page)
                path = HERE / f"explorer_{name}.png"
                page.screenshot(path=path)
                image = Image.open(path).convert("RGB")
                # keeps saturated colours, unlike the default
                octree = Image.Quantize.FASTOCTREE
                image.quantize(256, octree, dither=Image.Dither.NONE).save(
                    path, optimize=True
                )
            browser.close()
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main()
