"""The directory of a run: complete stages, their parameters and versions.

`run.json` says of each stage what computed it: parameters, version of the algorithm,
versions of the packages, date and computer. A stage that is reused keeps what is said
of it.
"""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astrocast.errors import (
    FormatError,
    OutputError,
    OutputExistsError,
    ResultsDifferError,
)
from astrocast.io.writing.files import remove_leftovers_in
from astrocast.io.writing.lock import OutputLock
from astrocast.pipeline.products import Product, StoredDataset, describe_stamp
from astrocast.runtime.fingerprint import fingerprint, list_differences
from astrocast.runtime.memory import PeakMemory, give_back_freed_memory
from astrocast.runtime.provenance import (
    FORMAT_VERSION,
    describe_computation,
    now,
    plain,
    write_json,
)

RUN_FILE, LOCK_FILE = "run.json", "run.lock"
#: folder in which a recording was analysed while it was recorded
LIVE = "live"
logger = logging.getLogger("astrocast.pipeline")


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Parameters
    ----------
    name
        As it appears in `run.json`, in the log and in the configuration file.
    parameters
        Everything that its result depends on besides the stages before it.
    execute
        Computes and writes the result; returns facts for `run.json` (plain values),
        which end in `run.json`.
    products
        What it leaves on disk.
    version
        Version of its algorithm; a result of an older version is computed again.
    """

    name: str
    parameters: dict[str, Any]
    execute: Callable[[], dict[str, Any]]
    products: tuple[Product, ...] = ()
    version: int = 1


@dataclass
class RunDirectory:
    """A run directory and its `run.json`; created by `open_run`."""

    path: Path
    state: dict[str, Any] = field(default_factory=dict)
    lock: OutputLock | None = None

    def file(self, name: str) -> Path:
        """Return the path of a file in the directory."""
        return self.path / name

    def save(self) -> None:
        """Write `run.json`, whole or not at all."""
        write_json(self.file(RUN_FILE), self.state)

    def close(self) -> None:
        """Let other processes work in the directory."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def facts(self, stage: str) -> dict[str, Any]:
        """Return the facts that a completed stage reported."""
        return dict(self.state["stages"].get(stage, {}).get("facts", {}))

    def perform(self, stages: list[Stage], overwrite: bool) -> list[str]:
        """Run the stages in order and reuse the complete ones.

        Returns the names of the stages that were computed.

        A stage is reused when its parameters, the version of its algorithm, those of
        all stages before it and the input are the same, and what it wrote is still
        there as it was written. With ``overwrite`` a stage with other parameters is
        computed anew, otherwise that is an error.
        """
        if not overwrite:
            self._refuse_other_parameters(stages)
            self._refuse_newer_versions(stages)
        # in the order of the run, and without stages that are off now
        self.state["stages"] = {
            stage.name: self.state["stages"].get(stage.name, {}) for stage in stages
        }
        computed: list[str] = []
        key = fingerprint(self.state["input"])
        for stage in stages:
            key = fingerprint(key, stage.name, stage.parameters, stage.version)
            reason = (
                f"{computed[-1]} was computed again"
                if computed
                else self._reason_to_compute(stage, key)
            )
            if reason is None:
                logger.info("%s: complete, reused", stage.name)
                continue
            if self.state["stages"][stage.name] and not computed:
                logger.warning("%s: computed again: %s", stage.name, reason)
            self._compute(stage, key, reason)
            computed.append(stage.name)
        self._note_stamps(stages)
        return computed

    def is_complete(self, stages: list[Stage]) -> bool:
        """Return whether `perform` would reuse all stages; nothing is changed."""
        if list(self.state["stages"]) != [stage.name for stage in stages]:
            return False
        key = fingerprint(self.state["input"])
        for stage in stages:
            key = fingerprint(key, stage.name, stage.parameters, stage.version)
            if self._reason_to_compute(stage, key) is not None:
                return False
        return True

    def check(self, stages: list[Stage]) -> dict[str, list[str]]:
        """Compare everything that complete stages wrote with its checksum.

        Returns
        -------
        dict
            Stage -> its problems, empty where its files match their checksums.
        """
        found: dict[str, list[str]] = {}
        for stage in stages:
            entry = self.state["stages"].get(stage.name) or {}
            if entry.get("status") != "complete":
                found[stage.name] = ["not complete"]
                continue
            problems = (
                product.problem(entry.get("products", {}).get(product.name, {}), True)
                for product in stage.products
            )
            found[stage.name] = [p for p in problems if p]
        return found

    def _reason_to_compute(self, stage: Stage, key: str) -> str | None:
        """Return why a stage cannot be reused; None where it can."""
        entry = self.state["stages"].get(stage.name) or {}
        if not entry:
            return "it was not computed yet"
        if entry.get("status") != "complete":
            return "it was interrupted"
        version = entry.get("algorithm_version")
        if version is None:
            return "its result does not say which version of the algorithm computed it"
        if version != stage.version:
            by = entry.get("versions", {}).get("astrocast", "another version")
            return (
                f"its result was computed by version {version} of the algorithm"
                f" (astrocast {by}), this is version {stage.version}"
            )
        if entry.get("key") != key:
            return "its parameters or the stages before it are others"
        products = entry.get("products", {})
        problems = (
            p.problem(products.get(p.name, {}), self._was_changed(p))
            for p in stage.products
        )
        return next((p for p in problems if p), None)

    def _was_changed(self, product: Product) -> bool:
        """Return whether a shared file was changed since a stage was completed last."""
        if not isinstance(product, StoredDataset) or isinstance(product.path, str):
            return False  # behind a URL there is no time of the last change
        if not product.path.exists():
            return False
        stamp = self.state.get("files", {}).get(product.path.name)
        return bool(describe_stamp(product.path) != stamp)

    def _refuse_newer_versions(self, stages: list[Stage]) -> None:
        for stage in stages:
            entry = self.state["stages"].get(stage.name) or {}
            stored = entry.get("algorithm_version")
            if isinstance(stored, int) and stored > stage.version:
                raise ResultsDifferError(
                    f"{self.path} holds a result of {stage.name} by version {stored} of"
                    f" its algorithm, this astrocast has version {stage.version}."
                    " Update astrocast, choose another output directory, or overwrite"
                )

    def _refuse_other_parameters(self, stages: list[Stage]) -> None:
        lines = self._describe_switches(stages)
        for stage in stages:
            before = self.state["stages"].get(stage.name, {}).get("parameters")
            if before is not None and before != plain(stage.parameters):
                lines += [
                    f"{stage.name}.{line}"
                    for line in list_differences(before, plain(stage.parameters))
                ]
        if lines:
            raise ResultsDifferError(
                f"{self.path} holds the results of other parameters:"
                f" {'; '.join(lines)}. Choose another output directory, or overwrite to"
                " compute the differing stages again"
            )

    def _describe_switches(self, stages: list[Stage]) -> list[str]:
        """Return a line per stage that was switched on or off since the last run.

        Only stages that later, reused stages depend on.
        """
        stored = [name for name, entry in self.state["stages"].items() if entry]
        names = [stage.name for stage in stages]
        last = max((i for i, name in enumerate(names) if name in stored), default=0)
        on = [
            f"{name}.enabled was False, is True"
            for name in names[:last]
            if name not in stored
        ]
        return on + [
            f"{name}.enabled was True, is False" for name in stored if name not in names
        ]

    def _compute(self, stage: Stage, key: str, reason: str) -> None:
        entry: dict[str, Any] = {
            "status": "running",
            "key": key,
            "parameters": stage.parameters,
            "algorithm_version": stage.version,
            "reason": reason,
            **describe_computation(),
        }
        self.state["stages"][stage.name] = entry
        self.save()
        give_back_freed_memory()
        begin, worked = time.perf_counter(), time.process_time()
        with PeakMemory() as memory, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            facts = stage.execute()
        messages = list(
            dict.fromkeys(
                str(w.message) for w in caught if issubclass(w.category, UserWarning)
            )
        )
        for message in messages:
            logger.warning("%s: %s", stage.name, message)
        entry |= {
            "status": "complete",
            "seconds": round(time.perf_counter() - begin, 3),
            "cpu_seconds": round(time.process_time() - worked, 3),
            "peak_memory_mb": round(memory.peak / 1e6, 1),
            "warnings": messages,
            "facts": facts,
            "products": {p.name: p.describe() for p in stage.products},
        }
        self._note_stamps([stage])
        self.save()

    def _note_stamps(self, stages: list[Stage]) -> None:
        """Record the state of files that stages share, which are intact now."""
        shared = {
            p.path
            for s in stages
            for p in s.products
            if isinstance(p, StoredDataset) and isinstance(p.path, Path)
        }
        self.state.setdefault("files", {}).update(
            {path.name: describe_stamp(path) for path in shared}
        )


def open_run(
    path: Path,
    source: dict[str, Any],
    configuration: dict[str, Any],
    seed: int,
    overwrite: bool,
) -> RunDirectory:
    """Create the run directory, or open an existing one of the same input."""
    if path.exists() and not path.is_dir():
        raise OutputExistsError(
            f"{path} is a file; the output of a run is a directory: choose another"
            " --output"
        )
    if path.is_dir() and not (path / RUN_FILE).exists() and _holds_anything(path):
        raise OutputExistsError(
            f"{path} exists and is not the output of a run; choose another --output"
        )
    _create(path)
    lock = OutputLock(path / LOCK_FILE, path)
    try:
        remove_leftovers_in(path)
        state = _take_up(path, source, overwrite)
    except BaseException:
        lock.release()
        raise
    state |= {
        "format_version": FORMAT_VERSION,
        "created": state.get("created") or now(),
        "input": source,
        "seed": seed,
        "configuration": configuration,
    }
    # older versions stored this once for the whole run; each stage gets a copy
    state.pop("versions", None)
    return RunDirectory(path, state, lock)


def _holds_anything(path: Path) -> bool:
    return any(p.name not in (LOCK_FILE, LIVE) for p in path.iterdir())


def _take_up(path: Path, source: dict[str, Any], overwrite: bool) -> dict[str, Any]:
    """Return the state of the run that is in a directory, if it is of this input."""
    state = read_state(path)
    if state is None:
        return {"stages": {}}
    if plain(state.get("input")) == plain(source):
        return state
    if not overwrite:
        lines = "; ".join(list_differences(state.get("input") or {}, plain(source)))
        raise ResultsDifferError(
            f"{path} holds the run of another input: {lines}. Choose another output"
            " directory, or overwrite"
        )
    return {"stages": {}}


def read_state(path: Path) -> dict[str, Any] | None:
    """Return the content of `run.json` of a directory; None where there is none."""
    file = path / RUN_FILE
    if not file.exists():
        return None
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{file} cannot be read: {error}. Choose another --output"
        ) from error
    if not _is_state(state):
        raise FormatError(
            f"{file} was not written by this version of astrocast, or was changed;"
            " choose another --output"
        )
    return dict(state)


def _is_state(state: Any) -> bool:
    """Return whether the parts of a `run.json` are of the kinds that are relied on."""
    if not isinstance(state, dict) or not isinstance(state.get("input", {}), dict):
        return False
    version, stages = state.get("format_version"), state.get("stages")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        return False
    if not isinstance(stages, dict) or not isinstance(state.get("files", {}), dict):
        return False
    return all(isinstance(e, dict) and _is_entry(e) for e in stages.values())


def _is_entry(entry: dict[str, Any]) -> bool:
    kinds = {
        "parameters": dict,
        "facts": dict,
        "products": dict,
        "versions": dict,
        "warnings": list,
    }
    if not all(isinstance(entry.get(k, kind()), kind) for k, kind in kinds.items()):
        return False
    return all(isinstance(p, dict) for p in entry.get("products", {}).values())


def _create(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the output directory {path} cannot be created: {error.strerror or error}"
        ) from error
    if not os.access(path, os.W_OK):
        raise OutputError(
            f"the output directory {path} cannot be written to; choose another --output"
        )
