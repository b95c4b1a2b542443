"""Directory of an unfinished detection, from which an interrupted run continues.

``<name>.roi.partial/run.json`` stores the parameters, the input and the version of the
algorithm of the finished blocks, see `astrocast.runtime.fingerprint`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from astrocast.errors import FormatError, OutputExistsError, ResultsDifferError
from astrocast.io.recording import Recording
from astrocast.io.stores.event_store import META, read_meta, write_checksums
from astrocast.io.writing.files import rename_over
from astrocast.io.writing.lock import OutputLock
from astrocast.runtime.checkpoint import BlockStore
from astrocast.runtime.cluster import connected_client, sees_folder
from astrocast.runtime.fingerprint import compare_results, describe_result
from astrocast.runtime.memory import scale_to_memory
from astrocast.runtime.provenance import write_json

#: increase it when the events of the same recording change
ALGORITHM_VERSION = 11
#: parameters that do not change the result
UNIMPORTANT = ("lazy", "parallel", "use_on_disk_sharing")
#: bytes of the latest blocks that are kept in memory: events are read many times
_KEPT_IN_MEMORY = 24 << 20
RUN = "run.json"
LOCK = "run.lock"


def describe_detection(
    parameters: dict[str, Any], recording: Recording
) -> dict[str, Any]:
    """Return what identifies the result of a detection; see `describe_result`."""
    important = {k: v for k, v in parameters.items() if k not in UNIMPORTANT}
    return describe_result(important, recording, ALGORITHM_VERSION)


def partial_path(target: Path) -> Path:
    """Return the directory of an unfinished detection."""
    return target.with_name(target.name + ".partial")


@contextmanager
def open_checkpoint(target: Path, identity: dict[str, Any]) -> Iterator[Checkpoint]:
    """Make a checkpoint, or take up the one of an interrupted run.

    Raises
    ------
    OutputError
        Another process detects into the same output.
    """
    path = partial_path(target)
    path.mkdir(parents=True, exist_ok=True)
    lock = OutputLock(path / LOCK, target)
    try:
        checkpoint = Checkpoint(target, identity, lock)
    except BaseException:
        lock.release()
        raise
    try:
        yield checkpoint
    finally:
        checkpoint.release()


class Checkpoint:
    """Directory of an unfinished run: finished blocks, and what identifies the run."""

    def __init__(
        self, target: Path, identity: dict[str, Any], lock: OutputLock | None = None
    ) -> None:
        self.target, self.lock = target, lock
        self.path = partial_path(target)
        self.blocks = self.path / "blocks"
        self.resumed = False
        if self.path.exists():
            self._resume(identity)
        else:
            self.blocks.mkdir(parents=True)
            write_json(self.path / RUN, identity)
        self._finished = BlockStore(self.blocks, scale_to_memory(_KEPT_IN_MEMORY))

    def _resume(self, identity: dict[str, Any]) -> None:
        """Continue the run in an existing directory, or raise an error."""
        run = self.path / RUN
        if not run.exists():
            if any(p for p in self.path.iterdir() if p.name not in ("blocks", LOCK)):
                raise OutputExistsError(
                    f"{self.path} exists, but does not contain an interrupted"
                    " detection; move it away"
                )
            self.blocks.mkdir(exist_ok=True)
            write_json(run, identity)
            return
        refuse_other(self._read_run(run), identity, f"the blocks in {self.path}")
        self.resumed = True

    def _read_run(self, run: Path) -> dict[str, Any]:
        try:
            return dict(json.loads(run.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise FormatError(
                f"{run} is damaged: {error}; remove {self.path} and detect again"
            ) from error

    def block_frames(self, choose: Callable[[], int]) -> int:
        """Return the frames per block: as in the interrupted run, or ``choose()``."""
        return self._load_or_choose("frames", choose)

    def block_voxels(self, choose: Callable[[], int]) -> int:
        """Return the most voxels of a block, in the same way as `block_frames`."""
        return self._load_or_choose("voxels", choose)

    def _load_or_choose(self, name: str, choose: Callable[[], int]) -> int:
        path = self.blocks / f"{name}.json"
        if not path.exists():
            write_json(path, choose())
        try:
            return int(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise FormatError(
                f"{path} is damaged: {error}; remove {self.path} and detect again"
            ) from error

    def has(self, name: str, index: int) -> bool:
        """Return whether block ``index`` of a step is finished and intact."""
        return self._finished.has(_block_name(name, index))

    def forget(self) -> None:
        """Remove every finished block."""
        self._finished.clear()

    def save(self, name: str, index: int, **arrays: NDArray[Any]) -> None:
        """Store the result of a finished block."""
        self._finished.save(_block_name(name, index), **arrays)

    def load(self, name: str, index: int, *wanted: str) -> dict[str, NDArray[Any]]:
        """Return the arrays that `save` stored, or only those in ``wanted``."""
        arrays = self._finished.load(_block_name(name, index), *wanted)
        if arrays is None:
            raise FormatError(
                f"block {index} of {name} in {self.blocks} is damaged or was removed"
                f" during the run; remove {self.path} and detect again"
            )
        return arrays

    def finish(self) -> Path:
        """Remove the finished blocks and give the directory its final name."""
        shutil.rmtree(self.blocks, ignore_errors=True)
        (self.path / "debug" / "complete").unlink(missing_ok=True)
        self.release()
        write_checksums(self.path, leave_out=[RUN])
        rename_over(self.path, self.target)
        # removed last: a folder with this file can still be recognised and resumed
        (self.target / RUN).unlink(missing_ok=True)
        return self.target

    def release(self) -> None:
        """Let other processes work in the directory."""
        if self.lock is not None:
            self.lock.release()
            (self.path / LOCK).unlink(missing_ok=True)
            self.lock = None

    def for_workers(self) -> Checkpoint | CarriedBlocks:
        """Return the store of blocks for tasks of a cluster.

        The same folder if workers can access it; otherwise blocks are returned with the
        result of the task.
        """
        if connected_client() is None:
            return self
        if not sees_folder(self.blocks):
            return CarriedBlocks()
        there = copy(self)
        there.lock = None  # workers work for the process that has it
        there.blocks = self.blocks.resolve()
        there._finished = BlockStore(there.blocks)
        return there

    def take(self, carried: CarriedBlocks | None) -> None:
        """Store the blocks that a worker returned."""
        for (name, index), arrays in (carried.blocks if carried else {}).items():
            self.save(name, index, **arrays)


class CarriedBlocks:
    """Blocks of one task on a worker that cannot access the folder of the run."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, int], dict[str, NDArray[Any]]] = {}

    def for_workers(self) -> CarriedBlocks:
        """Return an empty store of blocks for a task."""
        return CarriedBlocks()

    def has(self, name: str, index: int) -> bool:
        """Return whether this task has computed a block."""
        return (name, index) in self.blocks

    def save(self, name: str, index: int, **arrays: NDArray[Any]) -> None:
        """Store the result of a block."""
        self.blocks[name, index] = arrays

    def load(self, name: str, index: int, *wanted: str) -> dict[str, NDArray[Any]]:
        """Return the arrays that `save` stored."""
        return self.blocks[name, index]


class BlocksInMemory(Checkpoint):
    """Blocks of a detection of a few frames, in memory; nothing is written."""

    def __init__(self) -> None:
        self._arrays: dict[str, dict[str, NDArray[Any]]] = {}

    def _load_or_choose(self, name: str, choose: Callable[[], int]) -> int:
        return choose()

    def has(self, name: str, index: int) -> bool:
        """Return whether block ``index`` of a step is stored."""
        return _block_name(name, index) in self._arrays

    def save(self, name: str, index: int, **arrays: NDArray[Any]) -> None:
        """Store the result of a block."""
        self._arrays[_block_name(name, index)] = arrays

    def load(self, name: str, index: int, *wanted: str) -> dict[str, NDArray[Any]]:
        """Return the arrays that `save` stored."""
        return self._arrays[_block_name(name, index)]


def _block_name(name: str, index: int) -> str:
    return f"{name}_{index:06d}"


def is_finished(target: Path, wanted: dict[str, Any]) -> bool:
    """Return whether ``target`` contains the complete result of the same run.

    Raises an error if it contains something else or the result of another run.
    """
    if not target.exists():
        return False
    if not (target / META).is_file():
        raise OutputExistsError(
            f"{target} exists, but does not contain events; choose another output or"
            " move it away"
        )
    refuse_other(read_meta(target).get("run", {}), wanted, f"the results in {target}")
    return True


def refuse_other(found: dict[str, Any], wanted: dict[str, Any], what: str) -> None:
    """Raise an error if stored results belong to another run.

    That is: other parameters, another input, or another version of the algorithm. The
    message lists the differences.
    """
    differences = compare_results(found, wanted)
    if differences:
        raise ResultsDifferError(
            f"{what} belong to another run ({'; '.join(differences)}); "
            "choose another output, or move them away to detect again"
        )
