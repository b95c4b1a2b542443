"""Jobs are computed one at a time, or not at all once they are cancelled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from astrocast.explorer.server.jobs import Job, Jobs
from astrocast.explorer.server.preview import Crop
from astrocast.pipeline.settings import RunSettings

PREVIEW = "astrocast.explorer.server.preview:preview"


@pytest.fixture(scope="module")
def jobs() -> Iterator[Jobs]:
    """Two workers, started once."""
    found = Jobs()
    found.workers["preview"].patience = 60  # the computer of the tests may be busy
    yield found
    found.close()


def until_status(job: Job, *wanted: str) -> None:
    end = time.monotonic() + 120
    while job.status not in wanted:
        assert time.monotonic() < end, job
        time.sleep(0.01)


def until_ended(*jobs: Job) -> None:
    for job in jobs:
        until_status(job, "done", "failed", "cancelled")


def test_a_preview_that_is_cancelled_while_it_waits_is_not_computed(
    jobs: Jobs, tmp_path: Path
) -> None:
    first = jobs.start("preview", "time:sleep", 0.5)
    until_status(first, "running")
    waiting = jobs.start("preview", "os:mkdir", str(tmp_path / "computed"))
    last = jobs.start("preview", "os:mkdir", str(tmp_path / "last"))
    jobs.cancel(waiting.name)
    until_ended(first, waiting, last)
    assert [j.status for j in (first, waiting, last)] == ["done", "cancelled", "done"]
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_a_cancelled_preview_leaves_its_process_with_loaded_kernels(
    jobs: Jobs, first_run: Path
) -> None:
    crop = Crop(
        "detection",
        RunSettings(),
        first_run / "run" / "recording.h5",
        "mc/ch0",
        "df/ch0",
        (0, 64),
        (0, 64),
        (0, 120),
        None,
    )
    until_ended(jobs.start("preview", PREVIEW, crop))
    process = jobs.workers["preview"]._process.pid
    job = jobs.start("preview", PREVIEW, crop)
    until_status(job, "running", "done")
    jobs.cancel(job.name)
    after = jobs.start("preview", PREVIEW, crop)
    until_ended(job, after)
    assert after.status == "done"
    assert jobs.workers["preview"]._process.pid == process


def test_a_cancelled_run_is_ended_at_once(jobs: Jobs) -> None:
    job = jobs.start("run", "time:sleep", 600)
    until_status(job, "running")
    jobs.cancel(job.name)
    until_ended(job)
    assert job.status == "cancelled"


def test_a_process_that_dies_is_said(jobs: Jobs) -> None:
    job = jobs.start("run", "os:_exit", 3)
    until_ended(job)
    assert job.status == "failed"
    assert "ended unexpectedly (exit code 3)" in job.message
