"""A small run with known events, and a server that shows it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrocast.explorer.server.access import Access
from astrocast.explorer.server.serve import listen
from astrocast.explorer.server.workspace import Workspace
from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation import write_simulation

TOKEN = "a-token-of-the-tests"
#: milliseconds that a page may take for anything
WAIT = 180_000
#: a browser that asks nobody for anything
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of 120 frames of 64 x 64 pixels with a handful of events."""
    folder = tmp_path_factory.mktemp("explored")
    settings = SimulationSettings(
        seed=5,
        frames=120,
        rows=64,
        columns=64,
        frame_rate=5.0,
        pixel_size=0.5,
        events=8,
        snr=6.0,
        motion=1.5,
    )
    write_simulation(settings, folder / "movie.h5")
    run_recording(
        folder / "movie.h5",
        folder / "run",
        RunSettings.checked(conversion={"loc_in": "data/ch0"}),
    )
    return folder


@pytest.fixture(scope="module")
def module_run(first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the tests of a module change one after the other."""
    folder = tmp_path_factory.mktemp("module") / "copy"
    shutil.copytree(first_run, folder)
    return folder / "run"


@pytest.fixture
def run(first_run: Path, tmp_path: Path) -> Path:
    """Return a copy of the run, which the test may change."""
    shutil.copytree(first_run, tmp_path / "copy")
    return tmp_path / "copy" / "run"


@contextmanager
def serving(workspace: Workspace, headers: dict[str, str] | None = None) -> Any:
    """Serve a workspace on a free port; give a client that knows the token."""
    extra = "needs the extra `explorer`, and httpx to talk to its server"
    for name in ("fastapi", "uvicorn", "httpx"):
        pytest.importorskip(name, reason=extra)
    import httpx
    import uvicorn

    from astrocast.explorer.server.app import create_app

    listening = listen("127.0.0.1", 0)
    access = Access("127.0.0.1", listening.getsockname()[1], TOKEN)
    config = uvicorn.Config(create_app(workspace, access), log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    url = access.url.partition("/?")[0]
    cookies = {access.cookie: TOKEN}
    client = httpx.Client(
        base_url=url, headers=headers, cookies=cookies, timeout=60, trust_env=False
    )
    try:
        yield client
    finally:
        client.close()
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def serve() -> Iterator[Any]:
    """Return a function that serves a workspace until the test ends."""
    with ExitStack() as stack:

        def begin(workspace: Workspace, **headers: str) -> Any:
            wanted = {"x-astrocast": "1"} | headers
            return stack.enter_context(serving(workspace, wanted))

        yield begin


@pytest.fixture(scope="module")
def module_serve() -> Iterator[Any]:
    """Return a function that serves a workspace until the module's tests end."""
    with ExitStack() as stack:

        def begin(workspace: Workspace) -> Any:
            return stack.enter_context(serving(workspace, {"x-astrocast": "1"}))

        yield begin


@pytest.fixture
def client(run: Path, serve: Any) -> Any:
    """Return a client of a server that shows the run."""
    return serve(Workspace(run))


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return a bare recording without metadata: 12 frames of 20 x 30 pixels."""
    path = tmp_path / "bare.npy"
    values = np.random.default_rng(3).integers(100, 4000, (12, 20, 30))
    np.save(path, values.astype(np.uint16))
    return path


def list_problems(page: Any) -> list[str]:
    """Return a list to which each error of the page is added."""
    problems: list[str] = []

    def note(message: Any) -> None:
        if message.type == "error":
            problems.append(f"{message.text} {message.location.get('url', '')}")

    page.on("console", note)
    page.on("pageerror", lambda error: problems.append(str(error)))
    return problems


class Visitor:
    """A person with a browser: the opened page, and what a hand does in it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.problems: list[str] = page.problems

    def get(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        return self.page.evaluate(expression)

    def until(self, expression: str, seconds: float = 180) -> None:
        """Wait until an expression is true; its policy forbids Playwright's way."""
        end = time.monotonic() + seconds
        while not self._is_true(expression):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(30)

    def _is_true(self, expression: str) -> bool:
        """Return whether an expression is true; it is not while a page is loading."""
        try:
            return bool(self.page.evaluate(f"window.explorer ? {expression} : false"))
        except Exception as error:
            if "context was destroyed" in str(error):
                return False
            raise

    def at(self, row: float, column: float) -> tuple[float, float]:
        """Return where a corner of a pixel is on the screen."""
        box = self.page.locator(".view canvas").first.bounding_box()
        place = self.get("explorer.views.views[0].place()")
        x = box["x"] + place["left"] + column * place["x"]
        return x, box["y"] + place["top"] + row * place["y"]

    def drag(self, *places: tuple[float, float]) -> None:
        """Move the pressed pointer along places (row, column)."""
        self.page.mouse.move(*self.at(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.at(*place))
        self.page.mouse.up()

    def click(self, *places: tuple[float, float]) -> None:
        """Click places (row, column), far enough apart in time for single clicks."""
        for place in places:
            self.page.mouse.click(*self.at(*place))

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        for key in keys:
            self.page.keyboard.press(key)


@pytest.fixture(scope="module")
def new_page() -> Iterator[Any]:
    """Return a function that opens an empty page with a list of its problems."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="drives a browser")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no Chromium on this computer")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)

        def begin(width: int = 1280, height: int = 800, **options: Any) -> Any:
            size = {"width": width, "height": height}
            context = browser.new_context(**{"viewport": size} | options)
            context.set_default_timeout(WAIT)
            page = context.new_page()
            page.problems = list_problems(page)
            return page

        yield begin
        browser.close()


@pytest.fixture(scope="module")
def visit(new_page: Any) -> Any:
    """Return a function that opens an address in a page of its own."""

    def go(client: Any, **options: Any) -> Visitor:
        page = new_page(**options)
        page.add_init_script("localStorage.setItem('astrocast-hint-seen', '1')")
        page.goto(f"{client.base_url}/?token={TOKEN}")
        page.wait_for_selector("body[data-ready]")
        visitor = Visitor(page)
        visitor.until("explorer.views.shown !== undefined")
        return visitor

    return go
