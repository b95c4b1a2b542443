"""The command ``astrocast denoise``: options, quality measures, no overwriting."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import typer

from astrocast.cli.app import app, main
from astrocast.settings.denoising import DenoiserSettings

TRAIN = [
    "--steps",
    "2",
    "--kernel",
    "2",
    "--n-stacks",
    "1",
    "--pre-post-frame",
    "2,1",
    "--patch-size",
    "8",
]


@pytest.fixture(autouse=True)
def _no_handler_stays() -> Any:
    yield
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return an HDF5 file with a spot that brightens once, at few photons."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :24]
    course = np.exp(-((np.arange(64) - 30) ** 2) / 60)[:, None, None]
    light = 20 + 20 * course * np.exp(-((y - 12) ** 2 + (x - 10) ** 2) / 30)
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["data/ch0"] = rng.poisson(light).astype("uint16")
        file["other/ch0"] = rng.poisson(light[:20]).astype("uint16")
    return tmp_path / "in.h5"


def test_every_parameter_is_an_option_with_its_meaning_unit_and_default() -> None:
    command = typer.main.get_command(app).commands["denoise"]  # type: ignore[attr-defined]
    options = {p.name: p for p in command.params}
    for name, field in DenoiserSettings.model_fields.items():
        assert options[name].opts == [f"--{name.replace('_', '-')}"]
        assert field.description in options[name].help
    assert "(minutes)" in options["minutes"].help
    assert options["minutes"].show_default == "5.0"
    assert options["method"].metavar == "train|svd"
    assert options["assess"].secondary_opts == ["--no-assess"]


def test_patterns_are_written_where_asked_and_the_quality_is_said(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = recording.with_name("out.h5")
    words = [
        "-q",
        "denoise",
        str(recording),
        "-o",
        str(out),
        "--loc",
        "data/ch0",
        "--method",
        "svd",
    ]
    assert (
        main([*words, "--svd-patch", "8", "--loc-out", "clean/ch0", "--dtype", "same"])
        == 0
    )
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "engine: svd"
    assert said.splitlines()[-1] == str(out)
    for measure in ("held out error: ", "bias: ", "residual temporal: "):
        assert measure in said
    with h5py.File(out) as file:
        assert set(file) - {"checksums"} == {"clean"}
        found = file["clean/ch0"][:]
    assert found.dtype == np.uint16
    with h5py.File(recording) as file:
        raw = file["data/ch0"][:]
    assert (
        np.diff(found.astype(float), axis=0).std()
        < 0.5 * np.diff(raw.astype(float), axis=0).std()
    )


def test_a_network_is_trained_by_the_options_and_a_poor_one_is_called_that(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = recording.with_name("out.npy")
    assert (
        main(
            [
                "-q",
                "denoise",
                str(recording),
                "-o",
                str(out),
                "--loc",
                "data/ch0",
                *TRAIN,
                "--engine",
                "jax",
            ]
        )
        == 0
    )
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["engine: jax", "training: 2 steps"]
    assert any(
        line.startswith("note: held-out frames are predicted no better")
        for line in said
    )
    assert np.load(out).shape == (64, 24, 24)
    quiet = [
        "denoise",
        str(recording),
        "-o",
        str(out),
        "--loc",
        "data/ch0",
        "--method",
        "svd",
        "--no-assess",
    ]
    assert main([*quiet, "--overwrite"]) == 0
    assert "error" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--loc", "other/ch0", "--pre-post-frame", "30"],
            "20 frames, but this pre_post_frame needs 61",
        ),
        (
            ["--loc", "data/ch0", "--method", "magic", "--minutes", "-1"],
            "method: input should be 'train' or 'svd'",
        ),
        (["--loc", "data/ch0", "--pre-post-frame", "3,x"], "pre_post_frame"),
        (["--loc", "none/ch0"], "data/ch0"),
        (["--loc", "data/ch0", "--pretrained-weights", "nowhere.h5"], "nowhere.h5"),
        (["--loc", "data/ch0", "--dtype", "colour"], "colour"),
        (["--loc", "data/ch0", "--speed", "3"], "--speed"),
    ],
)
def test_what_cannot_work_is_one_message_and_nothing_is_written(
    words: list[str], said: str, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = recording.with_name("out.h5")
    assert main(["-q", "denoise", str(recording), "-o", str(out), *words]) == 2
    message = capsys.readouterr().err
    assert message.count("error:") == 1
    assert message.count("\n") == 1
    assert said in message
    assert [p.name for p in recording.parent.iterdir()] == ["in.h5"]


def test_a_result_that_exists_is_refused(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = recording.read_bytes()
    assert (
        main(
            [
                "-q",
                "denoise",
                str(recording),
                "-o",
                str(recording),
                "--loc",
                "data/ch0",
                "--method",
                "svd",
            ]
        )
        == 2
    )
    assert "already has 'data/ch0'" in capsys.readouterr().err
    assert recording.read_bytes() == before
