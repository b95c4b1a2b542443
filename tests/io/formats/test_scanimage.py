"""ScanImage: order of pages of stacks, channels, averaged and stopped recordings."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import tifffile

from astrocast.errors import AstrocastWarning, ChoiceError, FormatError
from astrocast.io import open_recording
from astrocast.io.registry import open_interleaved

SIDE = 6


def page_of(value: int) -> np.ndarray:
    return np.full((SIDE, SIDE), value, np.int16)


def write(path: Path, values: list[int], header: dict, bigtiff: bool = True) -> None:
    """Write a page for each value, with a header of ScanImage from 2016 on."""
    text = "SI.VERSION_MAJOR = 2020\n" + "".join(
        f"SI.{name} = {value}\n" for name, value in header.items()
    )
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
        for i, value in enumerate(values):
            tiff.write(
                page_of(value),
                contiguous=False,
                software=text,
                metadata=None,
                photometric="minisblack",
                description=f"frameNumbers = {i + 1}\nepoch = [2024 1 2 3 4 5.5]\n",
            )


def values_of(recording) -> list[int]:
    return recording.to_array()[:, 0, 0].tolist()


BASIC = {"hChannels.channelSave": "1", "hRoiManager.scanFrameRate": "30"}
NAMES = {"hChannels.channelName": "{'A' 'B' 'C' 'D'}"}
STACK = BASIC | {
    "hStackManager.enable": "true",
    "hStackManager.numSlices": "3",
    "hFastZ.enable": "true",
    "hRoiManager.scanVolumeRate": "7.5",
}


@pytest.mark.parametrize("bigtiff", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_no_frame_is_lost(tmp_path: Path, bigtiff: bool, count: int) -> None:
    path = tmp_path / "a.tif"
    write(path, list(range(count)), BASIC, bigtiff)
    with open_recording(path) as found:
        assert values_of(found) == list(range(count))


@pytest.mark.parametrize("bigtiff", [True, False])
@pytest.mark.parametrize("saved", [[1, 2], [1, 3], [2, 3, 4]])
@pytest.mark.parametrize("incomplete", [False, True])
def test_channels_stay_apart(
    tmp_path: Path, bigtiff: bool, saved: list[int], incomplete: bool
) -> None:
    k, path = len(saved), tmp_path / "a.tif"
    values = [10 * t + c for t in range(8) for c in range(k)]
    header = BASIC | NAMES | {"hChannels.channelSave": f"[{';'.join(map(str, saved))}]"}
    write(path, values[: -1 if incomplete else None], header, bigtiff)
    names = tuple("ABCD"[i - 1] for i in saved)
    for c, name in enumerate(names):
        if incomplete:
            with pytest.warns(
                AstrocastWarning, match=r"stopped during a frame; the incomplete"
            ):
                found = open_recording(path, channel=c)
        else:
            found = open_recording(path, name)
        assert values_of(found) == [10 * t + c for t in range(8 - incomplete)]
        assert found.metadata.channel_names == (name,)
        assert found.metadata.frame_rate == 30.0
        found.close()
    if not incomplete:
        with pytest.raises(ChoiceError, match=rf"ch0 \({names[0]}\)"):
            open_recording(path)


def test_averaging_divides_the_rate(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", [1, 2, 3], BASIC | {"hScan2D.logAverageFactor": "6"})
    with open_recording(tmp_path / "a.tif") as found:
        assert found.metadata.frame_rate == 5.0


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("flyback", [0, 1, 2])
@pytest.mark.parametrize("stopped", [False, True])
def test_planes_of_volumes(
    tmp_path: Path, channels: int, flyback: int, stopped: bool
) -> None:
    path = tmp_path / "a.tif"
    depth = 3 + flyback
    values = [
        100 * t + 10 * z + c
        for t in range(5)
        for z in range(depth)
        for c in range(channels)
    ]
    saved = "1" if channels == 1 else "[1;2]"
    header = STACK | {
        "hChannels.channelSave": saved,
        "hStackManager.numVolumes": "5",
        "hStackManager.numFramesPerVolumeWithFlyback": str(depth),
        "hFastZ.numDiscardFlybackFrames": str(flyback),
        "hFastZ.discardFlybackFrames": "true" if flyback else "false",
    }
    write(path, values[: -2 * channels if stopped else None], header)
    chosen = {"channel": channels - 1} if channels > 1 else {}
    with pytest.warns(AstrocastWarning) if stopped else nullcontext():
        for z in range(3):
            with open_recording(path, z=z, **chosen) as found:
                expected = [100 * t + 10 * z + channels - 1 for t in range(5 - stopped)]
                assert values_of(found) == expected
                assert found.metadata.frame_rate == 7.5
        with pytest.raises(ChoiceError, match="3 planes"):
            open_recording(path)
        with pytest.raises(ChoiceError, match="no plane 3"):
            open_recording(path, plane=3)


def test_flyback_frames_that_were_not_saved(tmp_path: Path) -> None:
    header = STACK | {
        "hStackManager.numVolumes": "4",
        "hStackManager.numFramesPerVolumeWithFlyback": "4",
        "hFastZ.numDiscardFlybackFrames": "1",
        "hFastZ.discardFlybackFrames": "true",
    }
    values = [10 * t + z for t in range(4) for z in range(3)]
    write(tmp_path / "a.tif", values, header)
    with open_recording(tmp_path / "a.tif", plane=1) as found:
        assert values_of(found) == [1, 11, 21, 31]


def test_a_slow_stack_saves_plane_after_plane(tmp_path: Path) -> None:
    header = STACK | {"hFastZ.enable": "false", "hStackManager.framesPerSlice": "4"}
    values = [10 * z + t for z in range(3) for t in range(4)]
    write(tmp_path / "a.tif", values, header)
    with open_recording(tmp_path / "a.tif", plane=2) as found:
        assert values_of(found) == [20, 21, 22, 23]
        assert found.metadata.frame_rate == 30.0


def test_less_than_a_volume_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", [1, 2], STACK)
    with pytest.raises(FormatError, match="does not contain a complete volume"):
        open_recording(tmp_path / "a.tif", plane=0)


@pytest.mark.parametrize("channels", [1, 2])
def test_version_3_8(tmp_path: Path, channels: int) -> None:
    text = (
        "state.configName='x'\rstate.software.version=3.8\r"
        f"state.acq.numberOfChannelsSave={channels}\rstate.acq.frameRate=3.90625\r"
        "state.acq.averaging=1\rstate.acq.numAvgFramesSave=2\r"
        + "".join(f"state.acq.savingChannel{i + 1}=1\r" for i in range(channels))
    )
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for value in range(6 * channels):
            tiff.write(
                page_of(value),
                contiguous=False,
                metadata=None,
                photometric="minisblack",
                description=text,
            )
    with open_interleaved(tmp_path / "a.tif", channels=channels) as found:
        assert values_of(found) == list(range(6 * channels))
        assert found.metadata.frame_rate == pytest.approx(3.90625 / 2)


def test_volumes_that_go_on_in_the_next_file(tmp_path: Path) -> None:
    values = [10 * t + z for t in range(6) for z in range(3)]
    for i in range(3):  # 7, 7 and 4 pages: volumes of three are divided
        write(tmp_path / f"rec_{i + 1:05d}.tif", values[7 * i : 7 * i + 7], STACK)
    with open_recording(tmp_path, plane=1) as found:
        assert values_of(found) == [1, 11, 21, 31, 41, 51]


@pytest.mark.parametrize(
    ("subtracted", "expected"),
    [
        ("[false false false false]", (12.0, 40.0)),
        ("[true true true true]", (0.0, 0.0)),
        ("[false true true false]", (12.0, 0.0)),
        ("false", (12.0, 40.0)),
    ],
)
def test_counts_in_the_dark(
    tmp_path: Path, subtracted: str, expected: tuple[float, float]
) -> None:
    path = tmp_path / "a.tif"
    header = BASIC | {
        "hChannels.channelSave": "[1;3]",
        "hChannels.channelOffset": "[12 -7 40 NaN]",
        "hChannels.channelSubtractOffset": subtracted,
    }
    write(path, [10 * t + c for t in range(4) for c in range(2)], header)
    for channel in range(2):
        with open_recording(path, channel=channel) as found:
            assert found.metadata.dark_counts == (expected[channel],)


def test_a_channel_without_a_measurement_in_the_dark(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    header = BASIC | {"hChannels.channelOffset": "[NaN 3 3 3]"}
    write(path, [1, 2], header)
    with open_recording(path) as found:
        assert found.metadata.dark_counts == ()
