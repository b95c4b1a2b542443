"""The explorer: from a key to the new frame on the canvas, and previews."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import heading, line

#: a frame that was not read before, then the next ones
CASES = (
    ("512 x 512 uint16, uncompressed", (96, 512, 512), None, "goal: 20 ms"),
    ("512 x 512 uint16, lz4", (96, 512, 512), "lz4", "goal: 20 ms"),
    ("2048 x 2048 uint16, uncompressed", (24, 2048, 2048), None, "goal: 60 ms"),
    ("2048 x 2048 uint16, lz4", (24, 2048, 2048), "lz4", "goal: 60 ms"),
)
_STEP = """async (frames) => {
  const times = [];
  for (const frame of frames) {
    const begin = performance.now();
    explorer.store.set({frame});
    await explorer.views.load();
    times.push(performance.now() - begin);
  }
  return times;
}"""


def run(quick: bool) -> None:
    heading("explorer")
    for name, shape, compression, goal in CASES[:1] if quick else CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "movie.h5"
            _write(path, shape, compression)
            _measure(name, path, shape[0], goal)
    _measure_previews()


def _write(path: Path, shape: tuple[int, int, int], compression: str | None) -> None:
    from astrocast.io.registry import create_recording

    draw = np.random.default_rng(0)
    options = {"chunk_strategy": "XY", "compression": compression}
    with create_recording(path, "data/ch0", shape, np.uint16, **options) as writer:
        for t in range(shape[0]):
            writer.write(t, draw.poisson(200, (1, *shape[1:])).astype(np.uint16))


def _measure(name: str, path: Path, frames: int, goal: str) -> None:
    import httpx
    import uvicorn

    from astrocast.explorer.server.access import Access
    from astrocast.explorer.server.app import create_app
    from astrocast.explorer.server.serve import listen
    from astrocast.explorer.server.workspace import Workspace

    listening = listen("127.0.0.1", 0)
    access = Access("127.0.0.1", listening.getsockname()[1])
    app = create_app(Workspace(path), access)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    order = np.random.default_rng(1).permutation(frames).tolist()
    base = access.url.partition("/?")[0]
    with httpx.Client(cookies={access.cookie: access.token}, trust_env=False) as client:
        times = []
        for t in order:
            begin = time.perf_counter()
            client.get(
                f"{base}/api/projects/0/frames",
                params={"layer": "data/ch0", "start": t, "low": 150, "high": 260},
            )
            times.append(1e3 * (time.perf_counter() - begin))
    _report(f"{name}: server, frames in any order", times[2:], goal)
    seen = _in_browser(access.url, list(range(frames)))
    if seen:
        _report(f"{name}: page, frame after frame", seen[2:], goal)
    server.should_exit = True
    thread.join()


def _measure_previews() -> None:
    """Time previews of 100 x 128 x 128 of each stage, without and with loaded kernels.

    The first preview of a process that is just started, the first one after the page
    loaded the kernels, and the next ones.
    """
    from astrocast.explorer.server.project import Project
    from astrocast.explorer.server.tuning import PreviewRequest, plan_crop
    from astrocast.explorer.server.worker import Worker
    from astrocast.settings.simulation import SimulationSettings
    from astrocast.simulation import write_simulation

    settings = SimulationSettings(seed=1, frames=150, rows=160, columns=160, events=20)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.h5"
        write_simulation(settings, path, truth=False)
        project = Project(path)
        area = {"frames": (20, 120), "rows": (10, 138), "columns": (10, 138)}
        crops = {}
        for stage in ("detection", "delta", "motion"):
            wanted = PreviewRequest(settings=project.settings, stage=stage, **area)
            crops[stage] = plan_crop(project, wanted)
        project.close()
        for stage, crop in crops.items():
            worker = Worker()
            times = [_preview(worker, crop)]
            _report_preview(f"{stage}, process just started", times, goal="")
            worker.close()
        worker = Worker()
        worker.start()  # as `astrocast explore` does while the page is loading
        worker.perform(
            "astrocast.explorer.server.preview:warm_up", None, lambda *_: None
        )
        for stage, crop in crops.items():
            times = [_preview(worker, crop) for _ in range(6)]
            _report_preview(f"{stage}, first after the start of the page", times[:1])
            _report_preview(f"{stage}, next", times[1:])
        worker.close()


def _preview(worker: Any, crop: Any) -> tuple[float, float]:
    """Return seconds and CPU seconds of one preview in the worker's process."""
    import psutil

    def cpu() -> float:
        process = worker._process
        if process is None or not process.is_alive():
            return 0.0
        spent = psutil.Process(process.pid).cpu_times()
        return float(spent.user + spent.system)

    begin, before = time.perf_counter(), cpu()
    where = "astrocast.explorer.server.preview:preview"
    worker.perform(where, crop, lambda *_: None)
    return time.perf_counter() - begin, cpu() - before


def _report_preview(
    title: str, times: list[tuple[float, float]], goal: str = "goal: 2 s"
) -> None:
    seconds, cpu = (statistics.median(column) for column in zip(*times, strict=True))
    text = f"{seconds:6.2f} s ({cpu:.2f} CPU s)"
    line(f"preview of 100 x 128 x 128: {title}", text, goal)


def _report(title: str, times: list[float], goal: str) -> None:
    worst = float(np.percentile(times, 95))
    text = f"{statistics.median(times):6.1f} ms, 95 % below {worst:.1f} ms"
    line(title, text, goal)


def _in_browser(url: str, frames: list[int]) -> list[float]:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        return []
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-gpu"]
        )
        page = opened.new_page(viewport={"width": 1280, "height": 800})
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        times: list[float] = page.evaluate(_STEP, frames)
        opened.close()
    return times
