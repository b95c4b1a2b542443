"""Take a picture of every built page, 1280 pixels wide, to look at them.

``python docs/screenshots.py FOLDER [NAME ...]``: pictures are written into FOLDER; with
names, only of pages whose path holds one of them. Needs Chromium and playwright.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

BUILT = Path(__file__).parent / "_build" / "html"
#: pixels; the rest of a longer page is left out
TALLEST = 6000


def main() -> None:
    """Open each page from the disk, without a network, and save its picture."""
    target, names = Path(sys.argv[1]), sys.argv[2:]
    target.mkdir(parents=True, exist_ok=True)
    pages = [p for p in sorted(BUILT.rglob("*.html")) if "_static" not in p.parts]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        context = browser.new_context(
            viewport={"width": 1280, "height": 900}, offline=True
        )
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        for path in pages:
            name = str(path.relative_to(BUILT))
            if names and not any(part in name for part in names):
                continue
            page.goto(path.as_uri())
            height = page.evaluate("document.documentElement.scrollHeight")
            wide = page.evaluate("document.documentElement.scrollWidth")
            page.set_viewport_size({"width": 1280, "height": min(height, TALLEST)})
            page.screenshot(path=target / f"{name.replace('/', '__')}.png")
            page.set_viewport_size({"width": 1280, "height": 900})
            note = f", {wide} pixels wide" if wide > 1280 else ""
            print(f"{name}: {height} pixels{note}{''.join(problems)}")
            problems.clear()
        browser.close()


if __name__ == "__main__":
    main()
