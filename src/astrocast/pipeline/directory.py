"""The directory of a run: complete stages, their parameters and versions.

`run.json` stores for each stage how it was computed: parameters, version of the
algorithm, versions of the packages, date and computer. The entry of a reused stage does
not change.
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

RUN_FILE, LOCK_FILE, REPORT_FILE = "run.json", "run.lock", "report.html"
#: folder of the live analysis (`astrocast watch`) in a run directory
LIVE = "live"
logger = logging.getLogger("astrocast.pipeline")


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Parameters
    ----------
    name
        Name in `run.json`, in the log and in the configuration file.
    parameters
        Everything that the result depends on, besides the stages before this one.
    execute
        Computes and writes the result; returns facts (plain values), which are stored
        in `run.json`.
    products
        The files and datasets that it writes.
    version
        Version of the algorithm; a result of an older version is computed again.
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
        """Write `run.json`; the file is replaced only when it is complete."""
        write_json(self.file(RUN_FILE), self.state)

    def close(self) -> None:
        """Release the lock, so that other processes can use the directory."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def facts(self, stage: str) -> dict[str, Any]:
        """Return the facts that a completed stage reported."""
        return dict(self.state["stages"].get(stage, {}).get("facts", {}))

    def perform(self, stages: list[Stage], overwrite: bool) -> list[str]:
        """Run the stages in order, reuse complete ones; return the computed ones.

        A stage is reused if the input, the parameters and versions of this stage and of
        all stages before it are the same, and its products have not changed on the
        disk. A stage with other parameters is computed again if ``overwrite`` is True;
        otherwise this is an error.
        """
        if not overwrite:
            self._refuse_other_parameters(stages)
            self._refuse_newer_versions(stages)
        # put the entries in the order of the run; drop stages that are off now
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
        """Compare all products of complete stages with their checksums.

        Returns
        -------
        dict
            Stage -> problems; an empty list if all its files match their checksums.
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
        """Return the reason why a stage cannot be reused, or None if it can."""
        entry = self.state["stages"].get(stage.name) or {}
        if not entry:
            return "it has not been computed yet"
        if entry.get("status") != "complete":
            return "it was interrupted"
        version = entry.get("algorithm_version")
        if version is None:
            return "its result does not state the version of the algorithm"
        if version != stage.version:
            by = entry.get("versions", {}).get("astrocast", "another version")
            return (
                f"its result was computed by version {version} of the algorithm"
                f" (astrocast {by}), this is version {stage.version}"
            )
        if entry.get("key") != key:
            return "its parameters or the stages before it have changed"
        products = entry.get("products", {})
        problems = (
            p.problem(products.get(p.name, {}), self._was_changed(p))
            for p in stage.products
        )
        return next((p for p in problems if p), None)

    def _was_changed(self, product: Product) -> bool:
        """Return whether a shared file changed since the last stage was completed."""
        if not isinstance(product, StoredDataset) or isinstance(product.path, str):
            return False  # a URL has no time of the last change
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
                    f"{self.path} contains a result of {stage.name} from version"
                    f" {stored} of its algorithm, but this astrocast has version"
                    f" {stage.version}. Update astrocast, choose another output"
                    " directory, or overwrite"
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
                f"{self.path} contains results with other parameters:"
                f" {'; '.join(lines)}. Choose another output directory, or overwrite to"
                " compute these stages again"
            )

    def _describe_switches(self, stages: list[Stage]) -> list[str]:
        """Return a line for each stage that was switched on or off since the last run.

        Only stages are listed that later, complete stages depend on.
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
        """Store size and time of the shared files, which are known to be intact now."""
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
    """Create the run directory, or open an existing one with the same input."""
    if path.exists() and not path.is_dir():
        raise OutputExistsError(
            f"{path} is a file, but the output of a run is a directory; choose another"
            " --output"
        )
    if path.is_dir() and not (path / RUN_FILE).exists() and _contains_files(path):
        raise OutputExistsError(
            f"{path} exists and is not the output of a run; choose another --output"
        )
    _create_directory(path)
    lock = OutputLock(path / LOCK_FILE, path)
    try:
        remove_leftovers_in(path)
        state = _resume_state(path, source, overwrite)
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
    # older versions of astrocast stored this for the whole run instead of per stage
    state.pop("versions", None)
    return RunDirectory(path, state, lock)


def _contains_files(path: Path) -> bool:
    """Return whether a directory contains files other than lock and live results."""
    return any(p.name not in (LOCK_FILE, LIVE) for p in path.iterdir())


def _resume_state(
    path: Path, source: dict[str, Any], overwrite: bool
) -> dict[str, Any]:
    """Return the state of an existing run of the same input, else an empty state.

    Raises `ResultsDifferError` for a run of another input, unless ``overwrite``.
    """
    state = read_state(path)
    if state is None:
        return {"stages": {}}
    if plain(state.get("input")) == plain(source):
        return state
    if not overwrite:
        lines = "; ".join(list_differences(state.get("input") or {}, plain(source)))
        raise ResultsDifferError(
            f"{path} contains the run of another input: {lines}. Choose another output"
            " directory, or overwrite"
        )
    return {"stages": {}}


def read_state(path: Path) -> dict[str, Any] | None:
    """Return the content of `run.json` in a directory; None if the file is missing."""
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
    """Return whether the parts of a `run.json` have the expected types."""
    if not isinstance(state, dict) or not isinstance(state.get("input", {}), dict):
        return False
    version, stages = state.get("format_version"), state.get("stages")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        return False
    if not isinstance(stages, dict) or not isinstance(state.get("files", {}), dict):
        return False
    return all(isinstance(e, dict) and _is_entry(e) for e in stages.values())


def _is_entry(entry: dict[str, Any]) -> bool:
    """Return whether the parts of the entry of a stage have the expected types."""
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


def _create_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the output directory {path} cannot be created: {error.strerror or error}"
        ) from error
    if not os.access(path, os.W_OK):
        raise OutputError(
            f"the output directory {path} is not writable; choose another --output"
        )
