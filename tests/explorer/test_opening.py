"""What is opened, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from astrocast.cli.app import main
from astrocast.errors import RecordingNotFoundError
from astrocast.explorer.server.project import Project, find_parts


def test_each_channel_is_a_layer_of_its_own(tmp_path: Path) -> None:
    movie = np.random.default_rng(0).integers(0, 99, (10, 2, 8, 9)).astype(np.uint16)
    path = tmp_path / "two.tif"
    tifffile.imwrite(path, movie, imagej=True, metadata={"axes": "TCYX"})
    project = Project(path)
    raw = [layer for layer in project.layers.values() if layer.kind == "data"]
    assert [layer.key for layer in raw] == ["data/ch0", "data/ch1"]
    for channel, layer in enumerate(raw):
        np.testing.assert_array_equal(layer.recording.to_array(), movie[:, channel])
    project.close()


def test_an_event_store_opens_with_its_recording(first_run: Path) -> None:
    found = find_parts(first_run / "run" / "recording.ch0.roi")
    assert found.recording == first_run / "run" / "recording.h5"
    assert found.store == first_run / "run" / "recording.ch0.roi"


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingNotFoundError, match="no file or folder"):
        find_parts(tmp_path / "missing.tif")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["missing.tif", "--no-browser"], "no file or folder"),
        (["{bare}", "--no-browser", "--host", "0.0.0.0"], "--token"),
        (["{bare}", "--no-browser", "--curator", "a/b"], "curator"),
    ],
)
def test_the_command_says_what_is_wrong(
    bare: Path, capsys: Any, arguments: list[str], part: str
) -> None:
    import logging

    code = main(["explore", *(a.format(bare=bare) for a in arguments)])
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])
    assert code == 2
    assert part in capsys.readouterr().err
