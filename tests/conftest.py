"""Fixtures and settings of all tests."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import HealthCheck, settings

mpl.use("Agg")
# Compilation of a kernel happens inside the first example: no deadline. Derandomised:
# the same examples every time.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")


class _NoReports:
    """Fails the test in which openvino would load the part that reports its use; see
    denoising/backend.py.
    """

    def find_spec(self, name: str, *_: object) -> None:
        if name == "openvino_telemetry":
            raise AssertionError(
                "openvino was imported directly; use"
                " astrocast.denoising.backend.import_openvino"
            )


sys.meta_path.insert(0, _NoReports())

SHARED = Path(
    os.environ.get("ASTROCAST_SHARED", Path(__file__).resolve().parents[2] / "shared")
)


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Return the path of a file of the material beside the project; the test skips
    where it is absent.
    """

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(
                f"{name} is not beside the project (real recordings and references are"
                " not part of it)"
            )
        return path

    return find


@pytest.fixture(scope="module")
def s3_bucket() -> Iterator[str]:
    """URL of an empty bucket on a local server; its keys are in the environment."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("movies")
        yield "s3://movies"
        # the store of moto outlives its server
        s3fs.S3FileSystem().rm("movies", recursive=True)
        s3fs.S3FileSystem.clear_instance_cache()
        gc.collect()  # connections end here, where their warnings are no errors
    server.stop()


#: takes the place of the program of SLURM: it runs a job on this computer
SBATCH = """#!/bin/sh
cp "$1" "{folder}/job.sh"
setsid sh "{folder}/job.sh" > "{folder}/job.log" 2>&1 &
echo $! > "{folder}/job.pid"
echo "Submitted batch job 17"
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder in which a stand-in for SLURM keeps the script of its one job."""
    pytest.importorskip("dask_jobqueue")
    folder = tmp_path / "slurm"
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name, text in (
        ("sbatch", SBATCH.format(folder=folder)),
        ("scancel", f'#!/bin/sh\necho "$@" > "{folder}/cancelled"\n'),
    ):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(folder)
    yield folder
    if (folder / "job.pid").exists():
        with suppress(ProcessLookupError):
            os.killpg(int((folder / "job.pid").read_text()), signal.SIGKILL)
