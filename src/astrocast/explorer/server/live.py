"""The page of a live analysis."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from astrocast.errors import DatasetNotFoundError
from astrocast.explorer.server.workspace import Workspace

STATIC = Path(__file__).parents[1] / "static"
#: number of events in the list of the page
SHOWN = 20
#: columns in the list
COLUMNS = ("event_id", "kind", "z0", "z1", "x0", "y0", "v_area", "snr", "confidence")

router = APIRouter(tags=["live"])


@router.get("/live", include_in_schema=False)
def page() -> FileResponse:
    """Return the page."""
    return FileResponse(STATIC / "live.html", headers={"cache-control": "no-cache"})


@router.get("/api/live")
def live(request: Request) -> dict[str, Any]:
    """Return the state of the live analysis, its rates, and the latest events."""
    workspace: Workspace = request.app.state.workspace
    if workspace.live is None:
        raise DatasetNotFoundError(
            "this is not the output of a live analysis; start `astrocast watch`, and"
            " open its output with `astrocast explore`"
        )
    folder = workspace.live
    state = _read_json(folder / "state.json") or {"status": "waiting"}
    return {
        "title": folder.parent.name,
        "state": state,
        "events": latest_events(folder / "events.csv"),
        "agreement": _read_json(folder / "agreement.json"),
    }


@router.post("/api/live/open")
def open_results(request: Request) -> dict[str, str]:
    """Open the results of the full analysis; return the name of the project."""
    workspace: Workspace = request.app.state.workspace
    if workspace.live is None:
        raise DatasetNotFoundError("this is not the output of a live analysis")
    return {"project": workspace.open_result(workspace.live.parent)}


def latest_events(path: Path) -> list[dict[str, str]]:
    """Return the latest rows of a growing table, the latest row first.

    Only the end of the file is read.
    """
    if not path.is_file():
        return []
    with path.open("rb") as file:
        names = file.readline().decode().strip().split(",")
        begin = file.tell()
        size = file.seek(0, 2)
        file.seek(max(begin, size - 400 * len(names)))
        text = file.read().decode(errors="replace")
    lines = text.split("\n")
    if size - 400 * len(names) > begin:
        lines = lines[1:]  # the first line may be incomplete
    rows = deque(lines[:-1], SHOWN)  # text after the last line end is incomplete
    found = []
    for row in reversed(rows):
        values = dict(zip(names, row.split(","), strict=False))
        found.append({name: values.get(name, "") for name in COLUMNS})
    return found


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
