"""Routes for tuning: previews of a crop, and runs of the whole recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from astrocast.errors import FormatError, InvalidValueError
from astrocast.explorer.server.jobs import Jobs
from astrocast.explorer.server.look import Opened
from astrocast.explorer.server.parameters import Tuned, changed_values
from astrocast.explorer.server.preview import Crop
from astrocast.explorer.server.project import Project
from astrocast.explorer.server.whole_run import (
    WholeRun,
    check_name,
    free_name,
    unfinished_runs,
)
from astrocast.io.naming import RUN_DIRECTORY
from astrocast.pipeline.settings import RunSettings

router = APIRouter(prefix="/api/projects/{project}", tags=["tune"])

#: largest number of voxels of a preview, so that it takes seconds only
MOST_VOXELS = 40 << 20
#: smallest numbers of frames, rows and columns: an event needs some background
LEAST = (20, 16, 16)

Span = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]


class PreviewRequest(Tuned):
    """Parameters to try, and the crop."""

    stage: Literal["detection", "delta", "motion"] = "detection"
    rows: Span
    columns: Span
    frames: Span


class RunRequest(Tuned):
    """Parameters for the whole recording, and the name of the new directory."""

    name: str


def jobs_of(request: Request) -> Jobs:
    """Return the jobs of the server."""
    found: Jobs = request.app.state.jobs
    return found


@router.post("/previews")
def preview(
    project: Opened, wanted: PreviewRequest, request: Request
) -> dict[str, Any]:
    """Start a preview of parameters on a crop; return the job."""
    crop = plan_crop(project, wanted)
    job = jobs_of(request).start(
        "preview",
        "astrocast.explorer.server.preview:preview",
        crop,
        changed=changed_values(wanted.settings, project.settings),
    )
    return job.to_dict()


def plan_crop(project: Project, wanted: PreviewRequest) -> Crop:
    """Return the crop of a preview, limited to the recording."""
    chosen = (wanted.frames, wanted.rows, wanted.columns)
    spans = [(a, min(b, n)) for (a, b), n in zip(chosen, project.shape, strict=True)]
    sizes = [b - a for a, b in spans]
    least = [min(n, whole) for n, whole in zip(LEAST, project.shape, strict=True)]
    if any(size < n for size, n in zip(sizes, least, strict=True)):
        raise InvalidValueError(
            f"a preview needs at least {LEAST[0]} frames of {LEAST[1]} x {LEAST[2]}"
            f" pixels; the selection has {sizes[0]} frames of {sizes[1]} x {sizes[2]}"
        )
    if sizes[0] * sizes[1] * sizes[2] > MOST_VOXELS:
        raise InvalidValueError(
            f"a preview has at most {MOST_VOXELS >> 20} million voxels; choose fewer"
            " frames or a smaller crop, or run on the whole recording"
        )
    movie = project.first("data") if wanted.stage == "motion" else project.first("mc")
    movie = movie or project.first("data", "other")
    signal = project.first("df")
    stored = signal is not None and signal.recording.loc == signal.key
    same = wanted.settings.delta == project.settings.delta
    use = stored and (same or wanted.stage == "delta")
    return Crop(
        wanted.stage,
        wanted.settings,
        project.place.recording,
        movie.recording.loc if movie else None,
        signal.key if use and signal is not None else None,
        spans[1],
        spans[2],
        spans[0],
        project.place.store,
        _border_inside(project, wanted, spans[1], spans[2]),
    )


def _border_inside(
    project: Project, wanted: PreviewRequest, rows: Span, columns: Span
) -> tuple[int, int, int, int]:
    """Return the width of the excluded border inside the crop, on each side."""
    border = wanted.settings.detection.exclude_border
    known = project.registration
    if border != "auto":
        whole = (border, border, border, border)
    else:
        whole = known.border if known is not None else (0, 0, 0, 0)
    top, bottom, left, right = whole
    return (
        max(0, top - rows[0]),
        max(0, bottom - (project.shape[1] - rows[1])),
        max(0, left - columns[0]),
        max(0, right - (project.shape[2] - columns[1])),
    )


@router.get("/runs")
def runs(project: Opened, request: Request) -> dict[str, Any]:
    """Return the name of a new run, the unfinished runs, and those in progress."""
    folder, stem = _beside(project)
    found, damaged = unfinished_runs(folder)
    jobs = {
        Path(job.facts["directory"]).name: job.name
        for job in jobs_of(request).running()
        if job.kind == "run" and Path(job.facts["directory"]).parent == folder
    }
    return {
        "folder": str(folder),
        "name": free_name(folder, stem, jobs),
        "unfinished": [r.output.name for r in found if r.output.name not in jobs],
        "damaged": damaged,
        "running": jobs,
    }


@router.post("/runs")
def run(project: Opened, wanted: RunRequest, request: Request) -> dict[str, Any]:
    """Start a run of the whole recording in a new directory; return the job."""
    folder, _ = _beside(project)
    output = folder / check_name(wanted.name)
    unfinished, damaged = unfinished_runs(folder)
    if wanted.name in damaged:
        raise FormatError(damaged[wanted.name])
    if any(j.facts.get("directory") == str(output) for j in jobs_of(request).running()):
        raise InvalidValueError(f"the run {wanted.name} is already in progress")
    interrupted = {r.output.name: r for r in unfinished}
    if wanted.name in interrupted:
        return _start(request, interrupted[wanted.name])
    source, loc = project.source()
    if not source.exists():
        raise InvalidValueError(
            f"the recording of this run is no longer at {source}; start the run from"
            " the command line"
        )
    settings = with_answers(project, wanted.settings, loc)
    return _start(request, WholeRun(source, output, settings, project.place.run))


def with_answers(
    project: Project, settings: RunSettings, loc: str | None
) -> RunSettings:
    """Return settings with the properties of the recording entered in the page."""
    answers: dict[str, Any] = dict(project.answers)
    offset = answers.pop("offset", None)
    if offset is not None and settings.conversion.offset is None:
        known = settings.conversion.model_copy(update={"offset": offset})
        settings = settings.model_copy(update={"conversion": known})
    if loc is not None and settings.conversion.loc_in is None:
        conversion = settings.conversion.model_copy(update={"loc_in": loc})
        answers["conversion"] = conversion
    return settings.model_copy(update=answers)


def _start(request: Request, wanted: WholeRun) -> dict[str, Any]:
    workspace = request.app.state.workspace

    def finish(result: dict[str, int]) -> dict[str, Any]:
        return result | {"project": workspace.open_result(wanted.output)}

    job = jobs_of(request).start(
        "run",
        "astrocast.explorer.server.whole_run:perform",
        wanted,
        finish,
        directory=str(wanted.output),
    )
    return job.to_dict()


def _beside(project: Project) -> tuple[Path, str]:
    """Return the folder and the name of a new run."""
    run_ = project.place.run
    if run_ is not None:
        return run_.parent, run_.name.rstrip("0123456789").rstrip("-") or run_.name
    recording = project.place.recording
    return recording.parent, f"{recording.stem}{RUN_DIRECTORY}"


jobs_router = APIRouter(prefix="/api/jobs", tags=["tune"])


@jobs_router.get("/{name}")
def job(name: str, request: Request) -> dict[str, Any]:
    """Return the progress of a job, and its result when it is done."""
    return jobs_of(request).get(name).to_dict()


@jobs_router.get("")
def running(request: Request) -> list[dict[str, Any]]:
    """Return the jobs in progress."""
    return [j.to_dict() for j in jobs_of(request).running()]


@jobs_router.delete("/{name}")
def cancel(name: str, request: Request) -> dict[str, Any]:
    """Stop a job."""
    return jobs_of(request).cancel(name).to_dict()
