"""CZI and LIF on files written by hand; ND2 through the interface of its library."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from astrocast.errors import DatasetNotFoundError, FormatError
from astrocast.io import open_recording
from astrocast.io.registry import open_interleaved

MOVIE = np.random.default_rng(4).integers(0, 4000, (5, 2, 6, 8)).astype(np.uint16)


@pytest.fixture(scope="module")
def files() -> ModuleType:
    specification = importlib.util.spec_from_file_location("vendor_files", Path(__file__).with_name("vendor_files.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def check_two_channels(path: Path, green: str, red: str) -> None:
    with open_interleaved(path, channels=2) as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE.reshape(10, 6, 8))
        np.testing.assert_array_equal(
            found.read(3, 7, slice(1, 4), slice(2, 7)), MOVIE.reshape(10, 6, 8)[3:7, 1:4, 2:7]
        )
        assert found.metadata.pixel_size == pytest.approx((0.5, 0.25))
        assert found.metadata.frame_rate == pytest.approx(4.0)
        assert found.metadata.channel_names == (green, red)
    with open_recording(path, red) as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE[:, 1])


def test_czi(tmp_path: Path, files: ModuleType) -> None:
    pytest.importorskip("czifile")
    files.write_czi(tmp_path / "a.czi", MOVIE)
    check_two_channels(tmp_path / "a.czi", "green", "red")
    with open_recording(tmp_path / "a.czi", "ch0") as found:
        assert found.metadata.acquisition_time == "2024-01-02T03:04:05"
    whole = (tmp_path / "a.czi").read_bytes()
    (tmp_path / "cut.czi").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"cut\.czi"):
        open_recording(tmp_path / "cut.czi", "ch0").to_array()


def test_lif(tmp_path: Path, files: ModuleType) -> None:
    pytest.importorskip("liffile")
    files.write_lif(tmp_path / "a.lif", {"series 1": MOVIE})
    check_two_channels(tmp_path / "a.lif", "Green", "Red")
    files.write_lif(tmp_path / "b.lif", {"series 1": MOVIE, "series 2": MOVIE[:, :1] + 1})
    with open_recording(tmp_path / "b.lif", "series 2") as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE[:, 0] + 1)
    with pytest.raises(DatasetNotFoundError, match="series 1, series 2"):
        open_recording(tmp_path / "b.lif")
    whole = (tmp_path / "a.lif").read_bytes()
    (tmp_path / "cut.lif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"cut\.lif"):
        open_recording(tmp_path / "cut.lif", "ch0").to_array()


class StandIn:
    """What `nd2.ND2File` offers, over an array: no ND2 file can be written without Nikon's software."""

    def __init__(self, path: Path) -> None:
        self.sizes = {"T": 5, "C": 2, "Y": 6, "X": 8}
        self.dtype = np.dtype(np.uint16)
        names = (SimpleNamespace(channel=SimpleNamespace(name=n)) for n in ("green", "red"))
        self.metadata = SimpleNamespace(channels=list(names))
        self.experiment = [SimpleNamespace(parameters=SimpleNamespace(periodMs=250.0))]
        self.text_info = {"date": "2/1/2024  3:04:05 AM"}

    def voxel_size(self) -> Any:
        return SimpleNamespace(x=0.25, y=0.5, z=1.0)

    def read_frame(self, index: int) -> np.ndarray:
        return MOVIE[index]

    def close(self) -> None:
        pass


def test_nd2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nd2 = pytest.importorskip("nd2")
    (tmp_path / "a.nd2").write_bytes(b"no ND2 file at all" * 100)
    with pytest.raises(FormatError, match=r"a\.nd2 cannot be read as ND2"):
        open_recording(tmp_path / "a.nd2")
    expected = {n for n in dir(StandIn) if not n.startswith("_")} | set(vars(StandIn(tmp_path)))
    assert expected <= set(dir(nd2.ND2File))  # the stand-in invents nothing
    monkeypatch.setattr(nd2, "ND2File", StandIn)
    check_two_channels(tmp_path / "a.nd2", "green", "red")
