"""What a run says of the camera's offset."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from astrocast.io import create_recording
from astrocast.io.recording import Metadata
from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings


def write(path: Path, dark_counts: tuple[float, ...]) -> Path:
    light = 150 + 50 * np.sin(np.arange(40) / 3) * np.sin(np.arange(40) / 5)[:, None]
    movie = np.random.default_rng(0).poisson(np.broadcast_to(light, (60, 40, 40)))
    metadata = Metadata(frame_rate=10.0, dark_counts=dark_counts)
    with create_recording(
        path, "data/ch0", movie.shape, np.uint16, metadata=metadata
    ) as writer:
        writer.write(0, movie.astype(np.uint16))
    return path


def said_of_the_offset(
    caplog: pytest.LogCaptureFixture, path: Path, output: Path, **conversion: object
) -> list[str]:
    settings = RunSettings.checked(conversion=conversion)
    with caplog.at_level("WARNING", "astrocast.pipeline"):
        run_recording(path, output, settings)
    said = [record.getMessage() for record in caplog.records]
    return [message for message in said if "counts in the dark" in message]


@pytest.mark.parametrize(
    ("dark_counts", "expected"),
    [
        (
            (),
            "is unknown, so dF/F is too small by the fraction offset / F. For example,"
            " an offset of 100",
        ),
        ((30.0,), r"is not subtracted.*30 counts.*20%.*the 30 counts"),
        ((0.0,), None),  # subtracted while it was recorded
    ],
)
def test_a_run_says_what_an_offset_would_change(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    dark_counts: tuple[float, ...],
    expected: str | None,
) -> None:
    path = write(tmp_path / "a.h5", dark_counts)
    said = said_of_the_offset(caplog, path, tmp_path / "run")
    if expected is None:
        assert said == []
    else:
        (message,) = said
        assert re.search(expected, message), message


def test_auto_subtracts_what_the_file_states(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.h5", (30.0,))
    assert said_of_the_offset(caplog, path, tmp_path / "run", offset="auto") == []
