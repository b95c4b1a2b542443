"""Directory of an unfinished detection, from which an interrupted run continues.

``<name>.roi.partial/run.json`` says which parameters, which input and which version of
the algorithm the finished blocks belong to, see `astrocast.runtime.fingerprint`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from astrocast.errors import FormatError, OutputExistsError, ResultsDifferError
from astrocast.io.recording import Recording
from astrocast.io.stores.event_store import META, read_meta, write_checksums
from astrocast.io.writing.files import rename_over
from astrocast.runtime.checkpoint import BlockStore
from astrocast.runtime.cluster import connected_client, sees_folder
from astrocast.runtime.fingerprint import compare_results, describe_result
from astrocast.runtime.provenance import write_json

#: raise it when a detection of the same recording finds other events
ALGORITHM_VERSION = 6
#: parameters that do not change the result
UNIMPORTANT = ("lazy", "parallel", "use_on_disk_sharing")
RUN = "run.json"


def describe_detection(
    parameters: dict[str, Any], recording: Recording
) -> dict[str, Any]:
    """Return what makes two detections the same; see `describe_result`."""
    important = {k: v for k, v in parameters.items() if k not in UNIMPORTANT}
    return describe_result(important, recording, ALGORITHM_VERSION)


class Checkpoint:
    """The directory in which a run is under way."""

    def __init__(self, target: Path, identity: dict[str, Any]) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".partial")
        self.blocks = self.path / "blocks"
        self.resumed = False
        if self.path.exists():
            self._take_over(identity)
        else:
            self.blocks.mkdir(parents=True)
            write_json(self.path / RUN, identity)
        self._finished = BlockStore(self.blocks)

    def _take_over(self, identity: dict[str, Any]) -> None:
        run = self.path / RUN
        if not run.exists():
            if any(p for p in self.path.iterdir() if p.name != "blocks"):
                raise OutputExistsError(
                    f"{self.path} is there and holds no interrupted detection; move it"
                    " away"
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
        """Return the frames per block, of the interrupted run or from ``choose``."""
        return self._agreed("frames", choose)

    def block_voxels(self, choose: Callable[[], int]) -> int:
        """Return the most voxels per block, as `block_frames` does."""
        return self._agreed("voxels", choose)

    def _agreed(self, name: str, choose: Callable[[], int]) -> int:
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
        """Return the arrays that `save` stored, or those that are ``wanted``."""
        arrays = self._finished.load(_block_name(name, index), *wanted)
        if arrays is None:
            raise FormatError(
                f"block {index} of {name} in {self.blocks} is damaged or was removed"
                f" during the run; remove {self.path} and detect again"
            )
        return arrays

    def finish(self) -> Path:
        """Remove the state and give the directory its name."""
        shutil.rmtree(self.blocks, ignore_errors=True)
        (self.path / "debug" / "complete").unlink(missing_ok=True)
        write_checksums(self.path, leave_out=[RUN])
        rename_over(self.path, self.target)
        # last: a folder without it is not taken for an interrupted detection
        (self.target / RUN).unlink(missing_ok=True)
        return self.target

    def for_workers(self) -> Checkpoint | CarriedBlocks:
        """Return where tasks of a cluster store blocks.

        The same folder where workers see it; otherwise blocks travel back with the
        result of the task.
        """
        if connected_client() is None:
            return self
        if not sees_folder(self.blocks):
            return CarriedBlocks()
        there = copy(self)
        there.blocks = self.blocks.resolve()
        there._finished = BlockStore(there.blocks)
        return there

    def take(self, carried: CarriedBlocks | None) -> None:
        """Store the blocks that came back from a worker."""
        for (name, index), arrays in (carried.blocks if carried else {}).items():
            self.save(name, index, **arrays)


class CarriedBlocks:
    """Blocks of one task on a worker that does not see the folder of the run."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, int], dict[str, NDArray[Any]]] = {}

    def for_workers(self) -> CarriedBlocks:
        """Return where tasks of a cluster store blocks."""
        return CarriedBlocks()

    def has(self, name: str, index: int) -> bool:
        """Return whether this task has computed a block."""
        return (name, index) in self.blocks

    def save(self, name: str, index: int, **arrays: NDArray[Any]) -> None:
        """Keep the result of a block."""
        self.blocks[name, index] = arrays

    def load(self, name: str, index: int, *wanted: str) -> dict[str, NDArray[Any]]:
        """Return the arrays that `save` kept."""
        return self.blocks[name, index]


class BlocksInMemory(Checkpoint):
    """Blocks of a detection of a few frames, held in memory; nothing is written."""

    def __init__(self) -> None:
        self._arrays: dict[str, dict[str, NDArray[Any]]] = {}

    def _agreed(self, name: str, choose: Callable[[], int]) -> int:
        return choose()

    def has(self, name: str, index: int) -> bool:
        """Return whether block ``index`` of a step is there."""
        return _block_name(name, index) in self._arrays

    def save(self, name: str, index: int, **arrays: NDArray[Any]) -> None:
        """Keep the result of a block."""
        self._arrays[_block_name(name, index)] = arrays

    def load(self, name: str, index: int, *wanted: str) -> dict[str, NDArray[Any]]:
        """Return the arrays that `save` took."""
        return self._arrays[_block_name(name, index)]


def _block_name(name: str, index: int) -> str:
    return f"{name}_{index:06d}"


def is_finished(target: Path, wanted: dict[str, Any]) -> bool:
    """Return whether ``target`` holds the complete result of the same run.

    The result of another run is an error.
    """
    if not target.exists():
        return False
    if not (target / META).is_file():
        raise OutputExistsError(
            f"{target} is there and holds no events; choose another output or move it"
            " away"
        )
    refuse_other(read_meta(target).get("run", {}), wanted, f"the results in {target}")
    return True


def refuse_other(found: dict[str, Any], wanted: dict[str, Any], what: str) -> None:
    """Raise an error where stored results belong to another run.

    Other parameters, another input, or another version of the algorithm; the message
    says which.
    """
    differences = compare_results(found, wanted)
    if differences:
        raise ResultsDifferError(
            f"{what} belong to another run ({'; '.join(differences)}); "
            "give another output, or move them away to detect again"
        )
