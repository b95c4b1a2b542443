"""Whatever happens to a run directory, the next run ends with the right files."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from astrocast.errors import AstrocastError, ResultsDifferError
from astrocast.io import create_recording, open_recording
from astrocast.pipeline.directory import RunDirectory, Stage, open_run
from astrocast.pipeline.products import StoredDataset, StoredFile, StoredFolder

NAMES = ("raw", "corrected", "events", "page")
SOURCE = {"path": "movie.tif", "content_hash": "a"}
names = st.sampled_from(NAMES)


class RunMachine(RuleBasedStateMachine):
    """Runs, kills, changed parameters, deleted and damaged files, copies."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder = self.root / "out"
        self.parameters = dict.fromkeys(NAMES, 1)
        self.stored: dict[str, int] | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def value(self, name: str, parameters: dict[str, int]) -> int:
        """What a stage computes: it depends on all stages before it."""
        before = NAMES[: NAMES.index(name) + 1]
        return sum(parameters[n] * 7**i for i, n in enumerate(before)) % 251

    def write(self, name: str) -> dict[str, Any]:
        value = self.value(name, self.parameters)
        if name == "raw":  # as the conversion of a run does
            (self.folder / "recording.h5").unlink(missing_ok=True)
        if name in ("raw", "corrected"):
            movie = np.full((6, 4, 4), value, np.uint16)
            with create_recording(
                self.folder / "recording.h5",
                f"{name}/ch0",
                movie.shape,
                movie.dtype,
                chunks=(2, 4, 4),
                overwrite=True,
            ) as writer:
                writer.write(0, movie)
        elif name == "events":
            shutil.rmtree(self.folder / "store", ignore_errors=True)
            (self.folder / "store").mkdir()
            for i in range(2):
                (self.folder / "store" / f"{i}").write_text(f"{value}" * 9)
        else:
            (self.folder / "page").write_text(f"{value}" * 9)
        return {"value": value}

    def stages(self, killed_at: str | None) -> list[Stage]:
        recording = self.folder / "recording.h5"
        products = {
            "raw": StoredDataset(recording, "raw/ch0"),
            "corrected": StoredDataset(recording, "corrected/ch0"),
            "events": StoredFolder(self.folder / "store"),
            "page": StoredFile(self.folder / "page"),
        }

        def execute(name: str) -> dict[str, Any]:
            facts = self.write(name)
            if name == killed_at:
                raise KeyboardInterrupt
            return facts

        return [
            Stage(n, {"p": self.parameters[n]}, lambda n=n: execute(n), (products[n],))
            for n in NAMES
        ]

    def perform(self, overwrite: bool, killed_at: str | None = None) -> None:
        run = open_run(self.folder, SOURCE, {}, 1, overwrite)
        try:
            run.perform(self.stages(killed_at), overwrite)
            run.save()
        finally:
            run.close()

    @rule(overwrite=st.booleans())
    def run(self, overwrite: bool) -> None:
        if not overwrite and self.stored not in (None, self.parameters):
            with pytest.raises(ResultsDifferError):
                self.perform(overwrite)
            return
        self.perform(overwrite)
        self.stored = dict(self.parameters)
        assert self.read() == {n: self.value(n, self.parameters) for n in NAMES}
        state = json.loads((self.folder / "run.json").read_text())
        assert not any(
            RunDirectory(self.folder, state).check(self.stages(None)).values()
        )

    @rule(name=names)
    def killed(self, name: str) -> None:
        try:
            self.perform(overwrite=True, killed_at=name)
        except KeyboardInterrupt:
            self.stored = None if self.stored != self.parameters else self.stored
        else:
            self.stored = dict(self.parameters)
        if self.stored is None:  # other parameters may be stored before that stage
            self.parameters_are_mixed()

    def parameters_are_mixed(self) -> None:
        state = json.loads((self.folder / "run.json").read_text())
        found = {n: e["parameters"]["p"] for n, e in state["stages"].items() if e}
        self.stored = self.parameters | found

    @rule(name=names, value=st.integers(1, 3))
    def change(self, name: str, value: int) -> None:
        self.parameters[name] = value

    @rule(place=st.integers(0, 10**6), length=st.integers(1, 40), which=names)
    def damage(self, place: int, length: int, which: str) -> None:
        path = self.path_of(which)
        if not path.is_file() or path.stat().st_size == 0:
            return
        with path.open("r+b") as file:
            file.seek(place % path.stat().st_size)
            file.write(bytes(length))

    @rule(which=names)
    def delete(self, which: str) -> None:
        self.path_of(which).unlink(missing_ok=True)

    @rule()
    def copy(self) -> None:
        if self.folder.is_dir():
            shutil.copytree(self.folder, self.root / "copy")
            shutil.rmtree(self.folder)
            (self.root / "copy").rename(self.folder)

    @invariant()
    def nothing_half_written(self) -> None:
        if self.folder.is_dir():
            assert not list(self.folder.rglob("*.partial"))

    def path_of(self, name: str) -> Path:
        files = {"events": "store/1", "page": "page"}
        return self.folder / files.get(name, "recording.h5")

    def read(self) -> dict[str, int]:
        found = {}
        for name in ("raw", "corrected"):
            with open_recording(self.folder / "recording.h5", f"{name}/ch0") as movie:
                values = np.unique(movie.to_array())
                assert len(values) == 1
                found[name] = int(values[0])
        for name in ("events", "page"):
            text = self.path_of(name).read_text()
            found[name] = int(text[: len(text) // 9])
            assert text == f"{found[name]}" * 9
        return found


TestRunDirectory = RunMachine.TestCase
TestRunDirectory.settings = settings(
    max_examples=15, stateful_step_count=12, deadline=None
)
assert issubclass(ResultsDifferError, AstrocastError)
