from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from astrocast.errors import (
    AstrocastWarning,
    FormatError,
    OutputError,
    OutputExistsError,
    ResultsDifferError,
)
from astrocast.pipeline import directory
from astrocast.pipeline.directory import RunDirectory, Stage, open_run
from astrocast.pipeline.products import StoredFile
from astrocast.runtime import provenance

SOURCE = {"path": "movie.tif", "content_hash": "a"}


class Bench:
    """Three stages that write a file each and count how often they run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls, self.failing = folder, [], ""
        self.versions: dict[str, int] = {}

    def stage(self, name: str, **parameters: Any) -> Stage:
        def execute() -> dict[str, Any]:
            self.calls.append(name)
            if name == self.failing:
                raise KeyboardInterrupt
            (self.folder / name).write_text("done")
            return {"stage": name}

        products = (StoredFile(self.folder / name),)
        version = self.versions.get(name, 1)
        return Stage(name, parameters, execute, products, version)

    def run(
        self,
        source: dict[str, Any] = SOURCE,
        overwrite: bool = False,
        names: str = "abc",
        **parameters: Any,
    ) -> RunDirectory:
        run = open_run(self.folder, source, {}, 1, overwrite)
        self.calls = []
        stages = [self.stage(n, **parameters.get(n, {})) for n in names]
        try:
            run.perform(stages, overwrite)
            run.save()
        finally:
            run.close()
        return run


def test_a_second_run_reuses_everything(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "out")
    bench.run()
    assert bench.calls == ["a", "b", "c"]
    bench.run()
    assert bench.calls == []


def test_an_interrupted_run_resumes_at_the_stage_that_was_not_complete(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path / "out")
    bench.failing = "b"
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    bench.failing = ""
    bench.run()
    assert bench.calls == ["b", "c"]


def test_a_lost_result_is_computed_again_with_all_that_follows(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "out")
    bench.run()
    (tmp_path / "out" / "b").unlink()
    bench.run()
    assert bench.calls == ["b", "c"]


def test_other_parameters_are_refused_by_name_and_nothing_is_touched(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path / "out")
    bench.run(b={"window": 3})
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    with pytest.raises(ResultsDifferError, match=r"b\.window was 3, is 4"):
        bench.run(b={"window": 4})
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_overwrite_computes_only_what_differs_and_what_follows(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "out")
    bench.run(b={"window": 3})
    bench.run(b={"window": 4}, overwrite=True)
    assert bench.calls == ["b", "c"]


def test_another_input_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "out")
    bench.run()
    with pytest.raises(ResultsDifferError, match="content_hash was 'a', is 'b'"):
        bench.run({"path": "movie.tif", "content_hash": "b"})


def test_a_folder_of_something_else_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("cat")
    with pytest.raises(OutputExistsError, match="not the output of a run"):
        open_run(tmp_path / "photos", SOURCE, {}, 1, overwrite=True)
    with pytest.raises(OutputExistsError, match="is a file"):
        open_run(tmp_path / "photos" / "cat.png", SOURCE, {}, 1, overwrite=True)
    assert (tmp_path / "photos" / "cat.png").read_text() == "cat"


@pytest.mark.parametrize("text", ["{", "[]", '{"stages": {}, "format_version": 99}'])
def test_a_damaged_or_newer_run_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(FormatError, match=r"run\.json"):
        open_run(tmp_path, SOURCE, {}, 1, overwrite=False)


def test_run_json_holds_parameters_time_memory_warnings_and_facts(
    tmp_path: Path,
) -> None:
    def execute() -> dict[str, Any]:
        warnings.warn("clipped 3 voxels", AstrocastWarning, stacklevel=1)
        return {"events": 3}

    run = open_run(tmp_path / "o", SOURCE, {"x": 1}, 7, overwrite=False)
    run.perform([Stage("s", {"window": 3}, execute)], overwrite=False)
    run.close()
    stored = json.loads((tmp_path / "o" / "run.json").read_text())
    stage = stored["stages"]["s"]
    assert stored["seed"] == 7
    assert stage["versions"]["astrocast"]
    assert stage["machine"]["cores"] >= 1
    assert "versions" not in stored
    assert stage["parameters"] == {"window": 3}
    assert stage["warnings"] == ["clipped 3 voxels"]
    assert stage["facts"] == {"events": 3}
    assert stage["seconds"] >= 0
    assert stage["peak_memory_mb"] > 1


def test_a_stage_that_is_switched_on_or_off_is_a_difference(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "out")
    bench.run(names="ac")
    with pytest.raises(ResultsDifferError, match=r"b\.enabled was False, is True"):
        bench.run()
    assert list(bench.run(overwrite=True).state["stages"]) == ["a", "b", "c"]
    assert bench.calls == ["b", "c"]
    with pytest.raises(ResultsDifferError, match=r"b\.enabled was True, is False"):
        bench.run(names="ac")
    assert list(bench.run(names="ac", overwrite=True).state["stages"]) == ["a", "c"]
    assert bench.calls == ["c"]


def test_a_stage_may_be_switched_on_before_anything_after_it_was_computed(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path / "out")
    bench.failing = "a"
    with pytest.raises(KeyboardInterrupt):
        bench.run(names="ac")
    bench.failing = ""
    bench.run()
    assert bench.calls == ["a", "b", "c"]


def read_state(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def test_a_reused_stage_keeps_the_version_and_date_that_computed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was computed by an old version must not claim today's after being
    looked at.
    """
    bench = Bench(tmp_path / "out")
    with monkeypatch.context() as old:
        old.setattr(provenance, "__version__", "0.0.9")
        old.setattr(provenance, "now", lambda: "2020-02-02T00:00:00+00:00")
        old.setattr(directory, "now", lambda: "2020-02-02T00:00:00+00:00")
        bench.run()
    before = read_state(tmp_path / "out")
    bench.run()
    after = read_state(tmp_path / "out")
    assert bench.calls == []
    assert after == before
    for stage in after["stages"].values():
        assert stage["versions"]["astrocast"] == "0.0.9"
        assert stage["created"].startswith("2020")


def test_a_risen_version_of_an_algorithm_computes_the_stage_again_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path / "out")
    bench.run()
    before = read_state(tmp_path / "out")["stages"]
    bench.versions["b"] = 2
    bench.run()
    assert bench.calls == ["b", "c"]
    assert "b: computed again: its result was computed by version 1" in caplog.text
    after = read_state(tmp_path / "out")["stages"]
    assert after["a"] == before["a"]
    assert after["b"]["algorithm_version"] == 2
    assert "version 1 of the algorithm" in after["b"]["reason"]
    assert after["c"]["reason"] == "b was computed again"


def test_a_result_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "out")
    bench.versions["b"] = 3
    bench.run()
    bench.versions["b"] = 2
    with pytest.raises(ResultsDifferError, match=r"version 3 .* has version 2"):
        bench.run()
    bench.run(overwrite=True)
    assert bench.calls == ["b", "c"]


def test_a_run_that_does_not_say_by_which_version_is_computed_again(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path / "out")
    bench.run()
    state = read_state(tmp_path / "out")
    for stage in state["stages"].values():
        del stage["algorithm_version"], stage["versions"]
    (tmp_path / "out" / "run.json").write_text(
        json.dumps(state | {"versions": {"astrocast": "0.1.0"}})
    )
    bench.run()
    assert bench.calls == ["a", "b", "c"]
    assert "versions" not in read_state(tmp_path / "out")


@pytest.mark.parametrize("damage", [b"", b"gone", b"dond"])
def test_a_result_that_is_not_what_was_written_is_computed_again(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path / "out")
    bench.run()
    (tmp_path / "out" / "b").write_bytes(damage)
    bench.run()
    assert bench.calls == ["b", "c"]
    assert "b: computed again" in caplog.text
    assert (tmp_path / "out" / "b").read_text() == "done"


def test_a_copied_run_is_reused(tmp_path: Path) -> None:
    """Times of files differ after a copy; the content is what counts."""
    bench = Bench(tmp_path / "out")
    bench.run()
    (tmp_path / "out" / "b").write_text("done")
    bench.run()
    assert bench.calls == []


def test_two_processes_cannot_work_in_one_directory(tmp_path: Path) -> None:
    first = open_run(tmp_path / "out", SOURCE, {}, 1, overwrite=False)
    with pytest.raises(OutputError, match=r"another process .* is writing to"):
        open_run(tmp_path / "out", SOURCE, {}, 1, overwrite=False)
    first.close()
    open_run(tmp_path / "out", SOURCE, {}, 1, overwrite=False).close()
