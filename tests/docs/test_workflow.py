"""The workflow of the hosted checks: one required job that waits for all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"

#: jobs that may fail without stopping a change
SOFT = {"audit"}


@pytest.fixture
def jobs() -> dict[str, Any]:
    return yaml.safe_load(WORKFLOW.read_text())["jobs"]


def test_the_required_job_waits_for_every_job_that_must_pass(jobs) -> None:
    required = jobs["required"]
    assert set(required["needs"]) == set(jobs) - SOFT - {"required"}
    assert required["if"] == "always()"
    expected = " ".join(["success"] * len(required["needs"]))
    assert f'= "{expected}"' in required["steps"][0]["run"]


def test_only_soft_jobs_may_fail(jobs) -> None:
    soft = {name for name, job in jobs.items() if job.get("continue-on-error")}
    assert soft == SOFT


def test_every_target_of_make_that_is_called_exists(jobs) -> None:
    makefile = (ROOT / "Makefile").read_text()
    called = [
        target
        for job in jobs.values()
        for step in job["steps"]
        if step.get("run", "").startswith("make ")
        for target in step["run"].split()[1:]
    ]
    assert called
    for target in called:
        assert f"\n{target}:" in makefile


def test_the_tests_run_on_three_systems_and_three_pythons(jobs) -> None:
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert [system.split("-")[0] for system in matrix["os"]] == [
        "ubuntu",
        "macos",
        "windows",
    ]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
