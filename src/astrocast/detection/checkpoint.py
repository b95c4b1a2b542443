"""What a run leaves beside its result until it is complete, so that a run that was
killed goes on where it was.

``<name>.roi.partial/run.json`` says which parameters and which input the state belongs
to. Each finished block is one file, written beside and renamed: it is there in full or
not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import OutputExistsError, ResultsDifferError
from astrocast.io.recording import Recording
from astrocast.io.stores.event_store import META, read_meta
from astrocast.runtime.provenance import plain, write_json

#: parameters that change how a run works, not what it finds
UNIMPORTANT = ("lazy", "parallel", "use_on_disk_sharing")
RUN = "run.json"


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
        found = json.loads(run.read_text(encoding="utf-8"))
        refuse_other(found, identity, f"an interrupted run in {self.path}")
        self.resumed = True
        self.blocks.mkdir(exist_ok=True)
        for left in self.blocks.glob("*.partial"):
            left.unlink()

    def block_frames(self, choose: Callable[[], int]) -> int:
        """Return the frames of a block: those of the interrupted run, or what
        ``choose`` says for a new one.
        """
        path = self.blocks / "frames.json"
        if not path.exists():
            write_json(path, choose())
        return int(json.loads(path.read_text(encoding="utf-8")))

    def has(self, name: str, index: int) -> bool:
        """Whether block ``index`` of a step is finished."""
        return self._file(name, index).exists()

    def forget(self) -> None:
        """Remove every finished block."""
        for path in self.blocks.glob("*.npz"):
            path.unlink()

    def save(self, name: str, index: int, **arrays: NDArray[Any]) -> None:
        """Keep the result of a finished block."""
        path = self._file(name, index)
        beside = path.with_name(path.name + ".partial")
        with beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(beside, path)  # noqa: PTH105 - atomic on every system

    def load(self, name: str, index: int) -> dict[str, NDArray[Any]]:
        """Return what `save` kept."""
        with np.load(self._file(name, index), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}

    def finish(self) -> Path:
        """Remove the state and give the directory its name."""
        shutil.rmtree(self.blocks, ignore_errors=True)
        (self.path / "debug" / "complete").unlink(missing_ok=True)
        (self.path / RUN).unlink()
        os.replace(self.path, self.target)  # noqa: PTH105 - atomic on every system
        return self.target

    def _file(self, name: str, index: int) -> Path:
        return self.blocks / f"{name}_{index:06d}.npz"


def identity(parameters: dict[str, Any], recording: Recording) -> dict[str, Any]:
    """Return what makes two runs the same: parameters and input; a few frames are
    enough to tell inputs apart.
    """
    n = recording.shape[0]
    sample = sorted({0, n // 3, n // 2, 2 * n // 3, n - 1})
    sums = [
        float(np.nansum(recording.read(t, t + 1), dtype=np.float64)) for t in sample
    ]
    source: dict[str, Any] = {
        "loc": recording.loc,
        "shape": list(recording.shape),
        "dtype": str(recording.dtype),
        "sums": repr(sums),
    }
    if recording.path is not None:
        stat = recording.path.stat()
        source |= {"path": str(recording.path.resolve()), "modified": stat.st_mtime_ns}
    kept = {k: v for k, v in parameters.items() if k not in UNIMPORTANT}
    return {"parameters": plain(kept), "input": plain(source)}


def finished(target: Path, wanted: dict[str, Any]) -> bool:
    """Whether ``target`` holds the complete result of the same run; refuse it when it
    holds another's.
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
    """Raise when stored results belong to other parameters or another input, saying
    which.
    """
    differences = []
    for part in ("parameters", "input"):
        old, new = found.get(part, {}), wanted[part]
        differ = [
            key for key in sorted(set(old) | set(new)) if old.get(key) != new.get(key)
        ]
        differences += [
            f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in differ
        ]
    if differences:
        raise ResultsDifferError(
            f"{what} belong to another run ({'; '.join(differences)}); "
            "give another output, or move them away to detect again"
        )
