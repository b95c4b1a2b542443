"""The application: routers, the page, and errors as messages."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict

from astrocast import __version__
from astrocast.errors import (
    AstrocastError,
    DatasetNotFoundError,
    RecordingNotFoundError,
)
from astrocast.explorer.server import (
    curation,
    event_routes,
    live,
    look,
    parameters,
    region_routes,
    share,
    tuning,
)
from astrocast.explorer.server.access import Access, AccessCheck
from astrocast.explorer.server.frames import warm_up
from astrocast.explorer.server.jobs import Jobs
from astrocast.explorer.server.workspace import Workspace

STATIC = Path(__file__).parents[1] / "static"


class OpenRequest(BaseModel):
    """A path below the folder of ``--root``."""

    model_config = ConfigDict(extra="forbid")

    path: str


router = APIRouter(tags=["start"])


@router.get("/api/start")
def start(request: Request) -> dict[str, Any]:
    """Return the first project, and facts about the server."""
    workspace: Workspace = request.app.state.workspace
    return {
        "project": workspace.start,
        "version": __version__,
        "can_browse": workspace.root is not None,
        "curator": workspace.curator,
        "live": workspace.live is not None,
    }


@router.get("/api/folder")
def folder(request: Request, path: str = "") -> list[dict[str, str]]:
    """Return the recordings and folders in a folder below ``--root``."""
    workspace: Workspace = request.app.state.workspace
    return workspace.listing(path)


@router.post("/api/open")
def open_(wanted: OpenRequest, request: Request) -> dict[str, str]:
    """Open a recording or a run below ``--root``."""
    workspace: Workspace = request.app.state.workspace
    return {"project": workspace.open_in_root(wanted.path)}


@router.get("/", include_in_schema=False)
def page() -> FileResponse:
    """Return the page."""
    return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})


def create_app(workspace: Workspace, access: Access, warm: bool = False) -> FastAPI:
    """Return the application of the server.

    Parameters
    ----------
    workspace
        The open projects.
    access
        Address and token of the server.
    warm
        Load kernels and start the preview process in advance.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if warm:  # imports and compiled kernels take a while
            threading.Thread(target=_warm_up, args=(app,), daemon=True).start()
        yield
        app.state.jobs.close()
        workspace.close()

    app = FastAPI(
        title="astrocast explorer",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # it would load from other servers; see /openapi.json
        redoc_url=None,
    )
    app.state.workspace, app.state.jobs = workspace, Jobs()
    topics = (
        look,
        event_routes,
        curation,
        region_routes,
        parameters,
        tuning,
        share,
        live,
    )
    for topic in topics:
        app.include_router(topic.router)
    app.include_router(tuning.jobs_router)
    app.include_router(router)

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(AstrocastError, _say)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    app.add_middleware(AccessCheck, access=access)
    return app


def _warm_up(app: FastAPI) -> None:
    workspace: Workspace = app.state.workspace
    if not workspace.start:
        return
    project = workspace.project(workspace.start)
    for layer in project.layers.values():
        warm_up(layer.recording)
    app.state.jobs.workers["preview"].start()


async def _say(request: Request, error: Exception) -> JSONResponse:
    missing = isinstance(error, (DatasetNotFoundError, RecordingNotFoundError))
    return JSONResponse({"message": str(error)}, 404 if missing else 422)


async def _say_invalid(request: Request, error: Exception) -> JSONResponse:
    lines = []
    for problem in getattr(error, "errors", list)():
        name = ".".join(str(p) for p in problem["loc"] if p not in ("body", "query"))
        lines.append(f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]}")
    return JSONResponse({"message": "; ".join(lines)}, 422)
