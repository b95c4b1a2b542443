"""The command line says in one message what is wrong, with exit code 2, and harms
nothing.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.core import TyperCommand, TyperGroup

from astrocast.cli.app import COMMANDS, main


@pytest.fixture(autouse=True)
def _no_handler_stays() -> Any:
    yield
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])


def movie(path: Path, array: Any) -> Path:
    tifffile.imwrite(path, array, photometric="minisblack")
    return path


def noise(*shape: int, dtype: str = "uint16") -> Any:
    return np.random.default_rng(0).integers(100, 200, shape).astype(dtype)


def with_nan() -> Any:
    frames = noise(12, 32, 32, dtype="float32")
    frames[7, 3, 4] = np.nan
    return frames


def truncated(path: Path) -> Path:
    whole = movie(path, noise(20, 64, 64))
    whole.write_bytes(whole.read_bytes()[: 20 * 64 * 64])
    return whole


BAD: dict[str, tuple[Any, list[str]]] = {
    "missing": (lambda p: p / "none.tif", ["does not exist", "none.tif"]),
    "no recording": (
        lambda p: (p / "a.tif", (p / "a.tif").write_text("hello"))[0],
        ["a.tif"],
    ),
    "unknown format": (
        lambda p: (p / "a.docx", (p / "a.docx").write_text("hello"))[0],
        ["a.docx", ".tif"],
    ),
    "truncated": (lambda p: truncated(p / "cut.tif"), ["cut.tif"]),
    "4-D": (
        lambda p: movie(p / "four.tif", noise(6, 2, 32, 32)),
        ["four.tif", "(6, 2, 32, 32)", "Name the axes"],
    ),
    "one frame": (
        lambda p: movie(p / "one.tif", noise(32, 32)),
        ["one.tif", "at least"],
    ),
    "constant": (
        lambda p: movie(p / "flat.tif", np.full((12, 32, 32), 7, "uint16")),
        ["constant", "7"],
    ),
    "NaN": (lambda p: movie(p / "nan.tif", with_nan()), ["NaN", "frame 7"]),
}


@pytest.mark.parametrize(("make", "words"), BAD.values(), ids=BAD)
def test_a_bad_recording_gets_one_clear_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, words: list[str]
) -> None:
    recording = make(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    code = main(["--quiet", "run", str(recording), "--output", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.count("error:") == 1
    assert "Traceback" not in said
    for word in words:
        assert word in said
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_ctrl_c_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("astrocast.preparation.Delta.run", interrupt)
    recording = movie(tmp_path / "a.tif", noise(20, 16, 16))
    code = main(["delta", str(recording), "-o", str(tmp_path / "d.h5")])
    said = capsys.readouterr().err
    assert code == 130
    assert "run the same command again to continue" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "name", [c.__name__.replace("_", "-") for c in COMMANDS] + ["analyze"]
)
def test_ctrl_c_is_answered_in_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Also while a command still imports what it needs."""
    made = TyperCommand.make_context

    def interrupt(self: Any, info_name: str | None, *a: Any, **k: Any) -> Any:
        if info_name == name:
            raise KeyboardInterrupt
        return made(self, info_name, *a, **k)

    for kind in (TyperCommand, TyperGroup):
        monkeypatch.setattr(kind, "make_context", interrupt)
    assert main([name]) == 130
    said = capsys.readouterr().err
    assert said.startswith("error: interrupted; run the same command again")
    assert "Traceback" not in said


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_of_the_keyboard_is_answered(tmp_path: Path) -> None:
    """A real signal, in a process that works: the first lines say that it began."""
    recording = movie(tmp_path / "a.tif", noise(20, 16, 16))
    code = """if True:
        import os, signal, sys, threading
        from astrocast.cli.app import main
        from astrocast.preparation import Delta
        def work(self, *a, **k):
            timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            while True:
                pass
        Delta.run = work
        sys.exit(main(["delta", sys.argv[1], "-o", sys.argv[1] + ".h5"]))
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(recording)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 130
    assert "interrupted; run the same command" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(tmp_path / "none.tif"), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_output_that_is_something_else_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = movie(tmp_path / "a.tif", noise(12, 32, 32))
    out = tmp_path / "photos"
    out.mkdir()
    (out / "cat.png").write_text("cat")
    assert main(["-q", "run", str(recording), "-o", str(out)]) == 2
    assert "not the output of a run" in capsys.readouterr().err
    assert (out / "cat.png").read_text() == "cat"


def test_an_output_below_a_file_cannot_be_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = movie(tmp_path / "a.tif", noise(12, 32, 32))
    assert main(["-q", "run", str(recording), "-o", str(recording / "out")]) == 2
    assert "cannot be created" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "recording"),
        (["fly"], "fly"),
        (["run", "x.tif", "--speed", "3"], "--speed"),
        (["run", "x.tif", "--set", "delta.widow=3"], "widow"),
        (["run", "x.tif", "--set", "delta.window=0"], "window"),
        (["run", "x.tif", "--config", "none.yaml"], "none.yaml"),
    ],
)
def test_a_wrong_call_is_said_in_words(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    message = capsys.readouterr().err
    assert said.lower() in message.lower()
    assert "Traceback" not in message


def test_an_error_in_analyze_does_not_list_the_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["analyze", "groups", "study"]) == 2
    message = capsys.readouterr().err
    assert "--value" in message
    assert "The commands are" not in message
    assert main(["xyzzy"]) == 2
    assert "analyze" in capsys.readouterr().err


def test_version_info_and_parameters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astrocast import __version__

    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
    assert main(["info", str(movie(tmp_path / "a.tif", noise(12, 32, 40)))]) == 0
    assert "12 frames, 32 x 40 pixels, uint16" in capsys.readouterr().out
    assert main(["parameters"]) == 0
    assert "delta.window = None [frames]" in capsys.readouterr().out


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 0
    assert "Turn a recording into a table" in capsys.readouterr().out


def test_an_unknown_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
):
    assert main(["sugest", "a.tif"]) == 2
    assert "suggest" in capsys.readouterr().err
    assert main(["xyzzy"]) == 2
    assert "The commands are run, watch, batch" in capsys.readouterr().err


def test_unknown_and_unused_parameters_are_refused_with_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = str(movie(tmp_path / "a.tif", noise(40, 32, 32)))
    for parameter, words in (
        ("detection.temporal_prominense=3", ["Did you mean 'temporal_prominence'"]),
        ("window=3", ["Did you mean 'delta.window'"]),
        (
            "detection.temporal_prominence=3",
            ["no effect with method 'calibrated'", "calibration.prominence"],
        ),
        ("detection.threshold=3", ["threshold has no effect"]),
    ):
        assert main(["run", path, "--set", parameter]) == 2
        said = capsys.readouterr().err
        for word in words:
            assert word in said
    assert not (tmp_path / "a.astrocast").exists()
