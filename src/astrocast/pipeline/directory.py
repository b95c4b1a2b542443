"""The directory of a run: what is complete in it, and by which parameters."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astrocast.errors import (
    FormatError,
    OutputError,
    OutputExistsError,
    ResultsDifferError,
)
from astrocast.runtime.memory import PeakMemory
from astrocast.runtime.provenance import FORMAT_VERSION, plain, versions, write_json

RUN_FILE = "run.json"
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
        Computes and writes the result; returns facts worth keeping (plain values),
        which end in `run.json`.
    is_there
        Whether the result is on disk, complete.
    """

    name: str
    parameters: dict[str, Any]
    execute: Callable[[], dict[str, Any]]
    is_there: Callable[[], bool]


@dataclass
class RunDirectory:
    """A run directory and its `run.json`; created by `open_run`."""

    path: Path
    state: dict[str, Any] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        """Return the path of a file in the directory."""
        return self.path / name

    def save(self) -> None:
        """Write `run.json`, whole or not at all."""
        write_json(self.file(RUN_FILE), self.state)

    def facts(self, stage: str) -> dict[str, Any]:
        """Return what a completed stage reported."""
        return dict(self.state["stages"].get(stage, {}).get("facts", {}))

    def perform(self, stages: list[Stage], overwrite: bool) -> list[str]:
        """Run the stages in order, reusing those that are complete; return the names of
        those that were computed.

        A stage is reused when its parameters, those of all stages before it and the
        input are the same and its result is there. With ``overwrite`` a stage with
        other parameters is computed anew, otherwise that is an error.
        """
        computed: list[str] = []
        key = json.dumps(self.state["input"], sort_keys=True)
        keys = []
        for stage in stages:
            key = hashlib.blake2b(
                (key + stage_signature(stage)).encode(), digest_size=16
            ).hexdigest()
            keys.append(key)
        if not overwrite:
            self._refuse_other_parameters(stages)
        # in the order of the run, and without stages that are off now
        self.state["stages"] = {
            stage.name: self.state["stages"].get(stage.name, {}) for stage in stages
        }
        for stage, key in zip(stages, keys, strict=True):
            done = self.state["stages"].get(stage.name, {})
            if (
                not computed
                and done.get("key") == key
                and done.get("status") == "complete"
                and stage.is_there()
            ):
                logger.info("%s: complete, reused", stage.name)
                continue
            self._compute(stage, key)
            computed.append(stage.name)
        return computed

    def _refuse_other_parameters(self, stages: list[Stage]) -> None:
        lines = self._switched(stages)
        for stage in stages:
            before = self.state["stages"].get(stage.name, {}).get("parameters")
            if before is not None and before != plain(stage.parameters):
                lines += [
                    f"{stage.name}.{line}"
                    for line in differences(before, plain(stage.parameters))
                ]
        if lines:
            raise ResultsDifferError(
                f"{self.path} holds the results of other parameters:"
                f" {'; '.join(lines)}. Choose another output directory, or overwrite to"
                " compute what differs anew"
            )

    def _switched(self, stages: list[Stage]) -> list[str]:
        """Return a line per stage that was off when the stages after it were computed
        and is on now, or was on.
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

    def _compute(self, stage: Stage, key: str) -> None:
        entry: dict[str, Any] = {
            "status": "running",
            "key": key,
            "parameters": stage.parameters,
        }
        self.state["stages"][stage.name] = entry
        self.save()
        begin = time.perf_counter()
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
            "peak_memory_mb": round(memory.peak / 1e6, 1),
            "warnings": messages,
            "facts": facts,
        }
        self.save()


def stage_signature(stage: Stage) -> str:
    """Return the text that a stage's key is made of."""
    return json.dumps(
        [stage.name, plain(stage.parameters), FORMAT_VERSION], sort_keys=True
    )


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return a line per entry that differs: ``name was 1, is 2``."""
    names = sorted(before.keys() | now.keys())
    return [
        f"{n} was {before.get(n)!r}, is {now.get(n)!r}"
        for n in names
        if before.get(n) != now.get(n)
    ]


def open_run(
    path: Path,
    source: dict[str, Any],
    configuration: dict[str, Any],
    seed: int,
    overwrite: bool,
) -> RunDirectory:
    """Create the run directory, or take up the one that is there if it belongs to the
    same input.
    """
    if path.exists() and not path.is_dir():
        raise OutputExistsError(
            f"{path} is a file; the output of a run is a directory: choose another"
            " --output"
        )
    state = _read_state(path)
    if state is None:
        if path.exists() and any(path.iterdir()):
            raise OutputExistsError(
                f"{path} exists and is not the output of a run; choose another --output"
            )
        state = {"stages": {}}
        _create(path)
    elif plain(state.get("input")) != plain(source):
        lines = "; ".join(differences(state.get("input", {}), plain(source)))
        if not overwrite:
            raise ResultsDifferError(
                f"{path} holds the run of another input: {lines}. Choose another output"
                " directory, or overwrite"
            )
        state = {"stages": {}}
    run = RunDirectory(path, state)
    run.state |= {
        "format_version": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "input": source,
        "seed": seed,
        "configuration": configuration,
    }
    return run


def _read_state(path: Path) -> dict[str, Any] | None:
    file = path / RUN_FILE
    if not file.exists():
        return None
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(
            f"{file} cannot be read: {error}. Choose another --output"
        ) from error
    if (
        not isinstance(state, dict)
        or "stages" not in state
        or state.get("format_version", 0) > FORMAT_VERSION
    ):
        raise FormatError(
            f"{file} is no run of this version of astrocast; choose another --output"
        )
    return state


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
