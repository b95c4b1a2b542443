"""Parameters that follow from a recording's noise; recordings of `test_calibrated`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import ndimage

from astrocast.cli.commands.suggest import suggest as command
from astrocast.detection import Detector
from astrocast.detection.suggest import automatic_levels, suggest
from astrocast.errors import InvalidValueError, OutputExistsError
from astrocast.io import open_recording
from astrocast.io.stores.event_store import read_meta
from astrocast.io.stores.event_table import read_events
from astrocast.settings.detection import DetectionSettings


def noisy(noise: float, height: float = 0.0, seed: int = 0) -> np.ndarray:
    """Noise about 0 with an event of a stated height at frame 60, row 20, column 20; as
    dF.
    """
    z, y, x = np.mgrid[:120, :40, :44]
    event = height * np.exp(
        -((z - 60) ** 2) / 30 - ((y - 20) ** 2 + (x - 20) ** 2) / 30
    )
    return (np.random.default_rng(seed).normal(0, noise, event.shape) + event).astype(
        np.float32
    )


def test_noise_and_snr_are_those_of_the_recording() -> None:
    found = suggest(open_recording(noisy(7.0, 35.0)))
    assert found.noise == pytest.approx(7.0, rel=0.05)
    assert found.events == 1
    assert 2 < found.snr < 6
    assert not found.warnings


def test_it_says_that_a_recording_is_poor() -> None:
    assert any(
        "no event" in doubt for doubt in suggest(open_recording(noisy(7.0))).warnings
    )
    smoothed = ndimage.gaussian_filter1d(noisy(7.0, 35.0), 3, axis=0)
    assert any(
        "slow fluctuations" in doubt
        for doubt in suggest(open_recording(smoothed)).warnings
    )
    with pytest.raises(InvalidValueError, match="20 frames"):
        suggest(open_recording(noisy(1.0)[:20]))


def test_automatic_levels_follow_the_noise() -> None:
    wanted = DetectionSettings(temporal_prominence="auto", threshold=None)
    low, high = (
        automatic_levels(open_recording(noisy(s)), wanted)["temporal_prominence"]
        for s in (1.0, 10.0)
    )
    assert high == pytest.approx(10 * low, rel=0.1)
    assert automatic_levels(open_recording(noisy(1.0)), DetectionSettings()) == {}
    level = automatic_levels(
        open_recording(noisy(5.0)), DetectionSettings(threshold="auto")
    )["threshold"]
    smooth = ndimage.gaussian_filter(noisy(5.0, seed=1), 2)
    inside = smooth[8:-8, 8:-8, 8:-8]  # a mirrored edge doubles its noise
    assert inside.max() < level < 2.5 * inside.max()


@pytest.mark.parametrize("name", ["threshold", "temporal_prominence"])
@pytest.mark.parametrize("noise", [0.01, 20.0])
def test_auto_finds_the_event_whatever_the_units(
    tmp_path: Path, name: str, noise: float
) -> None:
    path = tmp_path / "recording.npy"
    np.save(path, noisy(noise, 6 * noise))
    directory = Detector(path).run(**{name: "auto"})
    table = read_events(directory)
    # the default method may divide it, but finds nothing else
    assert 1 <= len(table) <= 3
    assert table["z0"].between(45, 75).all()
    assert table["v_fp_cx"].between(12, 28).all()
    assert isinstance(read_meta(directory)["parameters"][f"{name} (auto)"], float)


def test_the_command_writes_a_configuration_and_a_picture(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw, here = tmp_path / "raw", tmp_path / "here"
    raw.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    path = raw / "recording.npy"
    np.save(path, noisy(7.0, 35.0))
    command(path, None, None)
    assert "noise of a pixel: 6." in capsys.readouterr().out
    written = yaml.safe_load((here / "recording.suggested.yaml").read_text())
    assert written["detection"]["method"] == "calibrated"
    assert (here / "recording.suggested.png").stat().st_size > 1000
    assert [p.name for p in raw.iterdir()] == ["recording.npy"]
    with pytest.raises(OutputExistsError):
        command(path, None, None)
