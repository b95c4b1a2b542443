"""Stages on a cluster of processes give, byte for byte, what threads give."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import pytest
from numpy.typing import NDArray

from astrocast.denoising import Denoiser
from astrocast.detection import Detector
from astrocast.detection.calibrated import tiles
from astrocast.errors import (
    AstrocastWarning,
    ClusterError,
    InvalidValueError,
    OutputError,
)
from astrocast.io import create_recording, open_recording
from astrocast.io.memory import ArrayRecording
from astrocast.io.views import SlicedRecording
from astrocast.preparation import Delta, Input, MotionCorrection
from astrocast.runtime import cluster, rectangles
from astrocast.runtime.blocks import Block, map_blocks, plan_blocks
from astrocast.runtime.cluster import map_tasks
from astrocast.runtime.provenance import content_hash
from astrocast.runtime.rectangles import plan_rectangles
from astrocast.runtime.reduction import reduce_blocks
from astrocast.study.clusters import connect

pytest.importorskip("distributed")
# workers warn by themselves (asyncio, sockets that a killed worker left)
pytestmark = pytest.mark.filterwarnings("default")

# workers cannot import this file: its functions travel with their code
cloudpickle.register_pickle_by_value(sys.modules[__name__])

Store = tuple[Path, NDArray[np.uint16]]


def moving_scene(frames: int, seed: int) -> NDArray[np.uint16]:
    """A textured scene that moves by up to 2 px, with 12 events; 48 x 40 pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :40]
    light = (
        60 + 20 * np.sin(y / 3) * np.cos(x / 4) + 40 * (np.hypot(y - 20, x - 20) < 9)
    )
    movie = rng.poisson(light, (frames, 48, 40)).astype(np.float32)
    for _ in range(12):
        t, row, column = (int(rng.integers(8, n - 8)) for n in movie.shape)
        spot = 90 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 12)
        for k in range(8):
            movie[min(t + k, frames - 1)] += spot * np.exp(-k / 4)
    for t in range(frames):
        movie[t] = np.roll(movie[t], round(2 * np.sin(t / 9)), 0)
    return movie.astype(np.uint16)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A recording in zarr, and its pixels."""
    movie = moving_scene(240, 3)
    path = tmp_path_factory.mktemp("cluster") / "raw.zarr"
    with create_recording(
        path, "data/ch0", movie.shape, movie.dtype, chunks=(16, 24, 40)
    ) as writer:
        writer.write(0, movie)
    return path, movie


def run_stages(source: Path, folder: Path) -> Path:
    """Convert, register, subtract the background, detect in both ways."""
    folder.mkdir()
    path = folder / "run.zarr"
    Input(logging_level=40).run(source, path, loc_in="data/ch0", dtype="uint16")
    motion = MotionCorrection(logging_level=40)
    motion.run(path, "data/ch0", max_shifts=(5, 5))
    motion.save(path, "mc/ch0", chunks=(16, 24, 40))
    delta = Delta(path, "mc/ch0")
    delta.run(30, "dF", baseline="corrected_minimum")
    delta.save(path, "df/ch0", chunks=(16, 24, 40))
    Detector(path, output=folder / "calibrated.roi", logging_level=40).run(
        "mc/ch0", method="calibrated", signal_loc="df/ch0", fluorescence_loc="mc/ch0"
    )
    Detector(path, output=folder / "default.roi", logging_level=40).run(
        "df/ch0", temporal_prominence=30, split_events=True
    )
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, without the descriptions (they hold paths
    and times)."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in ("meta.json", "checksums.json")
    }


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the functions that were sent to workers."""
    sent: list[str] = []
    pack = cluster.pack

    def note(function: Any) -> bytes | None:
        inner = getattr(function, "task", getattr(function, "operation", function))
        sent.append(getattr(inner, "__name__", type(inner).__name__))
        return pack(function)

    monkeypatch.setattr(cluster, "pack", note)
    return sent


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks in a small recording."""
    for name in (
        "preparation.motion_estimate",
        "preparation.motion_moving",
        "preparation.baselines",
        "preparation.baseline_kinds",
        "detection.run",
        "runtime.blocks",
    ):
        target = "block_frames" if name == "detection.run" else "frames_per_block"
        monkeypatch.setattr(
            f"astrocast.{name}.{target}", lambda recording, *rest, **more: 64
        )
    monkeypatch.setattr(
        "astrocast.detection.calibrated.candidates._BLOCK_VOXELS", 90000
    )


def test_every_stage_writes_the_same_bytes(
    store: Store, tmp_path: Path, client: Any, tasks: list[str], small_blocks: None
) -> None:
    there = files_of(run_stages(store[0], tmp_path / "cluster"))
    used = set(tasks)
    client.close()
    assert cluster.connected_client() is None
    here = files_of(run_stages(store[0], tmp_path / "threads"))
    assert sorted(here) == sorted(there)
    assert [name for name in here if here[name] != there[name]] == []
    for stage in ("EstimateTask", "MoveBack", "SearchStretch", "FindEvents"):
        assert stage in used
    assert "DivideEvents" in used
    for stage in ("MeasureField", "TraceFootprints", "measure_block", "SegmentSpan"):
        assert stage in used


def test_parts_of_wide_frames_give_the_same_bytes(
    store: Store,
    tmp_path: Path,
    client: Any,
    tasks: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiles, "UNCUT", 30)
    monkeypatch.setattr(tiles, "SIDE", 24)
    monkeypatch.setattr(rectangles, "RECTANGLE_BYTES", 4000)
    monkeypatch.setattr(
        rectangles,
        "plan_rectangles",
        lambda *args: plan_rectangles(*args, budget=4000),
    )
    there = files_of(run_stages(store[0], tmp_path / "cluster"))
    assert {"SearchTile", "CopyRectangle"} < set(tasks)
    client.close()
    here = files_of(run_stages(store[0], tmp_path / "threads"))
    assert [name for name in here if here[name] != there.get(name)] == []


def test_counts_of_workers_are_added(store: Store, tmp_path: Path, client: Any) -> None:
    ratio = Delta(store[0], "data/ch0")
    ratio.run(6, "dFF", floor=60.0)
    with pytest.warns(AstrocastWarning, match="voxels have a background below 60"):
        ratio.save(tmp_path / "ratio.zarr", "dff/ch0", chunks=(40, 48, 40))
    counted = Delta(store[1])
    with pytest.warns(AstrocastWarning):
        counted.run(6, "dFF", floor=60.0)
    assert ratio.floored == counted.floored > 0
    with pytest.warns(AstrocastWarning, match="were outside the range of int8"):
        Input(logging_level=40).run(
            store[0], tmp_path / "b.zarr", loc_in="data/ch0", dtype="int8"
        )


class Sums:
    """Sum of a block; the first time that it is called it does something else."""

    def __init__(self, marker: Path, first: Callable[[], None]) -> None:
        self.marker, self.first = marker, first

    def __call__(
        self, frames: NDArray[Any], block: Block, pool: Executor | None
    ) -> int:
        # how often blocks are computed
        (self.marker.parent / f"call-{uuid.uuid4()}").touch()
        if block.start == 96 and not self.marker.exists():
            self.marker.touch()
            self.first()
        return int(frames.sum())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise OSError("the storage was away for a moment")


def stop_for_a_while() -> None:
    time.sleep(1.5)


@pytest.mark.parametrize("first", [die, fail, stop_for_a_while])
def test_a_worker_that_dies_fails_or_stops_changes_nothing(
    first: Callable[[], None], store: Store, tmp_path: Path, client: Any
) -> None:
    path, movie = store
    blocks = list(plan_blocks(len(movie), 16))
    with open_recording(path, "data/ch0") as recording:
        found = list(map_blocks(recording, Sums(tmp_path / "done", first), blocks))
    assert (tmp_path / "done").exists()
    # what the dead worker was at, and a result that it had not handed over
    again = len(list(tmp_path.glob("call-*"))) - len(blocks)
    assert 0 <= again <= (0 if first is stop_for_a_while else 2)
    assert found == [(b, int(movie[b.start : b.stop].sum())) for b in blocks]


def allow_failures(count: int, dask_scheduler: Any) -> None:
    dask_scheduler.allowed_failures = count


def test_a_block_that_kills_workers_is_named(store: Store, client: Any) -> None:
    with open_recording(store[0], "data/ch0") as recording:
        blocks = [Block(32, 48, 0, 0)]
        client.run_on_scheduler(allow_failures, 0)
        with (
            pytest.raises(
                ClusterError, match=r"block 32:48. It needs about .* a worker"
            ),
        ):
            list(map_blocks(recording, lambda frames, block, pool: die(), blocks))
        client.run_on_scheduler(allow_failures, 3)


def test_the_error_of_a_task_is_that_of_threads(store: Store, client: Any) -> None:
    def refuse(frames: NDArray[Any], block: Block, pool: Executor | None) -> None:
        raise InvalidValueError("no")

    with (
        open_recording(store[0], "data/ch0") as recording,
        pytest.raises(InvalidValueError, match=r"^no$"),
    ):
        list(map_blocks(recording, refuse, [Block(0, 9, 0, 0)]))


def add_images(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    return one + other


def image_of_block(
    frames: NDArray[Any], block: Block, pool: Executor | None
) -> NDArray[Any]:
    # its last bits depend on the order of the sum
    return (frames.astype(np.float64) / 3).sum(axis=0)


def test_sums_of_images_are_the_same_and_few_of_them_travel(
    store: Store, client: Any, tasks: list[str]
) -> None:
    blocks = list(plan_blocks(240, 10))
    sums = []
    with open_recording(store[0], "data/ch0") as recording:
        for _ in range(2):
            found = list(reduce_blocks(recording, image_of_block, blocks, add_images))
            assert [count for count, _ in found] == [80, 80, 80]
            sums.append(np.stack([part for _, part in found]))
            client.close()
    assert len(tasks) == 1
    assert sums[0].tobytes() == sums[1].tobytes()
    np.testing.assert_allclose(sums[0].sum(0), store[1].sum(0) / 3)


def test_what_cannot_be_sent_is_computed_here(client: Any) -> None:
    held = ArrayRecording(np.arange(60.0).reshape(15, 2, 2))
    here = os.getpid()
    found = map_blocks(held, lambda f, b, p: os.getpid(), list(plan_blocks(15, 4)))
    assert {process for _, process in found} == {here}
    lock = threading.Lock()  # cannot be sent
    assert list(map_tasks(lambda item, pool: (lock, item)[1], [1, 2], None)) == [1, 2]


def test_only_a_window_of_tasks_exists(client: Any) -> None:
    taken = 0

    def items() -> Any:
        nonlocal taken
        while taken < 400:
            taken += 1
            yield taken

    results = map_tasks(lambda item, pool: item + 1, items(), None)
    assert [next(results) for _ in range(3)] == [2, 3, 4]
    assert taken <= 3 + max(4, 2 * cluster.TASKS_PER_THREAD)
    results.close()


@pytest.mark.parametrize("suffix", [".h5", ".tiff", ".npy"])
def test_workers_open_files_of_other_formats(
    suffix: str, store: Store, tmp_path: Path, client: Any, tasks: list[str]
) -> None:
    path = tmp_path / f"movie{suffix}"
    with (
        create_recording(path, "data/ch0", store[1].shape, store[1].dtype)
        if suffix != ".npy"
        else nullcontext() as writer
    ):
        if writer is None:
            np.save(path, store[1])
        else:
            writer.write(0, store[1])
    loc = "data/ch0" if suffix == ".h5" else None
    with open_recording(path, loc) as recording:
        there = content_hash(recording)
    assert tasks == ["HashFrames"]
    assert there == content_hash(ArrayRecording(store[1]))
    if suffix == ".h5":  # no worker holds the file open
        Input(logging_level=40).run(store[0], path, loc_in="data/ch0", loc_out="more")


def test_denoising_gives_the_same_bytes(
    store: Store, tmp_path: Path, client: Any, tasks: list[str]
) -> None:
    for name in ("there", "here"):
        if name == "here":
            client.close()
        Denoiser(method="svd", seed=3, svd_patch=16).run(
            store[0], "data/ch0", tmp_path / f"{name}.zarr", "x", chunks=(16, 24, 40)
        )
    assert "ProjectFrames" in tasks
    there, here = (files_of(tmp_path / f"{n}.zarr") for n in ("there", "here"))
    for files in (there, here):  # says when it was made
        del files["x/zarr.json"]
    assert there == here


def test_a_recording_hash_does_not_depend_on_who_computes_it(
    store: Store, client: Any
) -> None:
    with open_recording(store[0], "data/ch0") as recording:
        there = content_hash(recording)
    assert there == content_hash(ArrayRecording(store[1]))


def test_the_command_line_runs_on_a_scheduler(
    store: Store, tmp_path: Path, local_cluster: Any
) -> None:
    from typer.testing import CliRunner

    from astrocast.cli.app import app

    address = local_cluster.scheduler_address
    options = ["--loc", "data/ch0", "--set", "frame_rate=10"]
    for name, extra in (("there", ["--scheduler", address]), ("here", [])):
        output = str(tmp_path / name)
        result = CliRunner().invoke(
            app, ["run", str(store[0]), *options, "-o", output, *extra]
        )
        assert result.exit_code == 0, result.output
    there, here = (tmp_path / name for name in ("there", "here"))
    assert (there / "recording.zarr").is_dir()
    assert (here / "recording.h5").is_file()
    table = "recording.ch0.roi/events.csv"
    assert (there / table).read_bytes() == (here / table).read_bytes()
    both = CliRunner().invoke(
        app,
        ["run", "a.tif", "--scheduler", address, "--slurm", "jobs=1"],
    )
    assert both.exit_code != 0
    assert "give only one of" in both.output + str(both.exception)


def test_piecewise_motion_gives_the_same_bytes(
    store: Store, tmp_path: Path, client: Any, tasks: list[str], small_blocks: None
) -> None:
    for name in ("there", "here"):
        if name == "here":
            client.close()
        motion = MotionCorrection(logging_level=40)
        motion.run(
            store[0],
            "data/ch0",
            max_shifts=(5, 5),
            pw_rigid=True,
            strides=(16, 16),
            overlaps=(8, 8),
        )
        motion.save(tmp_path / f"{name}.zarr", "mc/ch0", chunks=(16, 24, 40))
        assert motion.registration.fields is not None
    assert {"EstimateTask", "MoveBack"} <= set(tasks)
    there, here = (files_of(tmp_path / f"{n}.zarr") for n in ("there", "here"))
    assert len(here) > 10
    assert there == here
    beside = (tmp_path / f"{n}.ch0.motion.npz" for n in ("there", "here"))
    first, second = (np.load(path) for path in beside)
    for array in ("shifts", "fields", "template"):
        np.testing.assert_array_equal(first[array], second[array])


@pytest.mark.parametrize("engine", ["openvino", "keras"])
def test_a_network_is_evaluated_by_workers(
    engine: str, store: Store, tmp_path: Path, client: Any, tasks: list[str]
) -> None:
    from importlib.util import find_spec

    from astrocast.denoising import SubFrameGenerator
    from astrocast.kernels.denoising.unet_layout import expected_maps, unet_from_arrays

    # importorskip would import openvino with the part that reports its use
    if find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    rng = np.random.default_rng(0)
    arrays: list[NDArray[Any]] = []
    for before, after in expected_maps(2, 4, 4):
        arrays.append(rng.normal(0, (9 * before) ** -0.5, (3, 3, before, after)))
        arrays.append(rng.normal(0, 0.1, after))
    network = unet_from_arrays(arrays)
    with open_recording(store[0], "data/ch0") as whole:
        few = SlicedRecording(whole, 0, 64)
        with SubFrameGenerator(few, 4, (8, 8), 2, normalize="global") as generator:
            for name in ("there", "here"):
                if name == "here":
                    client.close()
                generator.infer(
                    network,
                    output=tmp_path / f"{name}.zarr",
                    out_loc="x",
                    engine=engine,
                    chunk_size=16,
                )
    assert "PredictFrames" in tasks
    there, here = (files_of(tmp_path / f"{n}.zarr") for n in ("there", "here"))
    for files in (there, here):  # says when it was made
        del files["x/zarr.json"]
    assert len(here) >= 4
    assert there == here


def process_of(item: int, pool: Executor | None) -> tuple[int, int]:
    return item, os.getpid()


def test_a_scheduler_is_found_by_its_file(local_cluster: Any, tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    with (
        pytest.raises(OutputError, match="does not exist; start a scheduler"),
        connect(None, None, file),
    ):
        pass
    address = {"address": local_cluster.scheduler_address}
    file.write_text(json.dumps(address), encoding="utf-8")
    with connect(None, None, file, for_blocks=True):
        found = list(map_tasks(process_of, range(8), None))
    assert [item for item, _ in found] == list(range(8))
    assert os.getpid() not in {process for _, process in found}


def test_jobs_of_slurm_compute_tasks(slurm: Path) -> None:
    """SLURM itself is not here: a stand-in for `sbatch` runs the script it gets."""
    asked = "jobs=1,cores=3,memory=2GB,walltime=00:07:00,queue=short,account=lab"
    with connect(None, asked, for_blocks=True) as client:
        client.wait_for_workers(1, timeout=240)
        assert list(client.nthreads().values()) == [3]
        found = list(map_tasks(process_of, range(8), None))
    assert [item for item, _ in found] == list(range(8))
    assert os.getpid() not in {process for _, process in found}
    script = (slurm / "job.sh").read_text(encoding="utf-8")
    for line in (
        "#SBATCH -p short",
        "#SBATCH -A lab",
        "#SBATCH --cpus-per-task=3",
        "#SBATCH --mem=2G",
        "#SBATCH -t 00:07:00",
    ):
        assert line in script.splitlines()
    assert "--nthreads 3" in script
    assert (slurm / "cancelled").read_text().split() == ["17"]


def take_environment(values: dict[str, str]) -> None:
    """Give a worker that runs already the keys and the address of a server."""
    os.environ.update(values)


def test_a_run_from_s3_to_s3_on_workers(
    s3_bucket: str, store: Store, tmp_path: Path, client: Any, tasks: list[str]
) -> None:
    """The recording, the movies of the run and what lies beside them are objects."""
    from astrocast.pipeline.movies import url_of_movies
    from astrocast.pipeline.run import check_run, run_recording
    from astrocast.pipeline.settings import RunSettings

    keys = {k: v for k, v in os.environ.items() if k.startswith("AWS_")}
    client.run(take_environment, keys)
    source = f"{s3_bucket}/raw.zarr"
    movie = store[1][:120]
    with create_recording(
        source, "data/ch0", movie.shape, movie.dtype, chunks=(16, 24, 40)
    ) as writer:
        writer.write(0, movie)
    for name in ("there", "here"):
        if name == "here":
            client.close()
        movies = f"{s3_bucket}/{name}" if name == "there" else None
        settings = RunSettings.checked(
            frame_rate=10.0,
            movies=movies,
            storage="zarr",
            conversion={"loc_in": "data/ch0"},
        )
        with open_recording(source, "data/ch0") as recording:
            result = run_recording(recording, tmp_path / name, settings)
            assert "detection" in result.computed
            again = run_recording(recording, tmp_path / name, settings)
        assert again.computed == ()
    for task in ("_ReadAndWrite", "EstimateTask", "MoveBack", "SearchStretch"):
        assert task in tasks or task == "_ReadAndWrite"
    there, here = tmp_path / "there", tmp_path / "here"
    assert not (there / "recording.zarr").exists()
    table = "recording.ch0.roi/events.csv"
    assert (there / table).read_bytes() == (here / table).read_bytes()
    assert (there / "frames.csv").read_bytes() == (here / "frames.csv").read_bytes()
    for loc in ("data/ch0", "mc/ch0", "df/ch0"):
        with (
            open_recording(f"{s3_bucket}/there/recording.zarr", loc) as one,
            open_recording(here / "recording.zarr", loc) as other,
        ):
            assert one.to_array().tobytes() == other.to_array().tobytes()
    assert not any(check_run(there).values())
    assert url_of_movies(there) == f"{s3_bucket}/there/recording.zarr"
    assert url_of_movies(here) is None
