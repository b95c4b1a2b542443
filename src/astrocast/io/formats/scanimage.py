"""Find the order of the pages of ScanImage files, and their metadata.

Supported are versions 3.8 (``state.acq...``), 4 and 5 (``scanimage.SI...``) and those
from 2016 on (``SI.hStackManager...``). A fast stack is saved volume by volume: all
planes and then, if they are saved, the flyback frames. A slow stack is saved plane by
plane, each with all its frames. The channels of a frame are consecutive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import tifffile
from tifffile.tifffile import matlabstr2py

from astrocast.io.recording import Metadata


@dataclass(frozen=True)
class ScanImageLayout:
    """The order of the pages of a ScanImage recording.

    Parameters
    ----------
    axes, shape
        Axes of the pages and their lengths, without row and column; flyback frames are
        counted as planes.
    planes
        Number of planes without flyback frames.
    pages
        Number of pages of complete frames or volumes; the pages after them are not
        used.
    frame_rate
        Frames per second of one channel and one plane.
    """

    axes: str
    shape: tuple[int, ...]
    planes: int
    pages: int
    frame_rate: float | None


def is_scanimage(file: tifffile.TiffFile) -> bool:
    """Return whether a file was written by ScanImage."""
    page = file.pages.first
    return bool(
        file.is_scanimage
        or page.description.startswith("state.")
        or "scanimage.SI" in page.description
        or page.software.startswith("SI.")
    )


def read_settings(file: tifffile.TiffFile) -> dict[str, Any]:
    """Return the settings of ScanImage by name.

    They are in the header of the file, the software tag, or the description of the
    first page.
    """
    page = file.pages.first
    if page.description.startswith("state."):
        return _parse_state(page.description)
    found: dict[str, Any] = {}
    if file.is_scanimage and (header := file.scanimage_metadata):
        found = dict(header.get("FrameData") or {})
    for text in (page.software, page.description):
        if not found and "SI" in text:
            plain = re.sub(r"scanimage\.SI(\d*)\.", r"SI.", text)
            found = dict(matlabstr2py(plain))
    return found


def _parse_state(text: str) -> dict[str, Any]:
    """Return the settings of version 3.8, one per line: ``state.acq.frameRate=3.9``."""
    found: dict[str, Any] = {}
    for line in re.split(r"[\r\n]+", text):
        name, equals, value = line.partition("=")
        if equals:
            try:
                found[name.strip()] = float(value)
            except ValueError:
                found[name.strip()] = value.strip().strip("'")
    return found


def saved_channels(settings: Mapping[str, Any]) -> list[int]:
    """Return the numbers of the channels that were saved, counted from 1."""
    for name in ("SI.hChannels.channelSave", "SI.channelsSave"):
        saved = settings.get(name)
        if saved is not None and not isinstance(saved, str):
            return [int(i) for i in np.ravel(np.asarray(saved, float))]
    switches = [
        i for i in range(1, 9) if settings.get(f"state.acq.savingChannel{i}") == 1
    ]
    count = int(settings.get("state.acq.numberOfChannelsSave", len(switches)) or 0)
    return switches if len(switches) == count else list(range(1, count + 1))


def read_scanimage(settings: Mapping[str, Any], pages: int) -> ScanImageLayout:
    """Return the order of the pages.

    Parameters
    ----------
    settings
        See `read_settings`.
    pages
        Number of pages, all channels together.
    """
    channels = max(1, len(saved_channels(settings)))
    average = max(1.0, _number(settings, *AVERAGING) or 1.0)
    if settings.get("state.acq.averaging") == 0:
        average = 1.0
    rate = _number(settings, *FRAME_RATE)
    rate = rate / average if rate else None
    slices = int(_number(settings, *SLICES) or 1)
    rounds = pages // channels
    axes: str
    shape: tuple[int, ...]
    fast = _is_true(settings, *FAST) or settings.get(STACK_MODE) == "fast"
    if slices <= 1 or settings.get("SI.hStackManager.enable") is False:
        axes, shape, planes = "TC", (rounds, channels), 1
    elif fast:
        depth = _pages_per_volume(settings, slices, rounds)
        volume_rate = _number(settings, *VOLUME_RATE)
        frame_rate = _number(settings, *FRAME_RATE)
        if not volume_rate and frame_rate:
            volume_rate = frame_rate / depth
        rate = volume_rate / average if volume_rate else None
        axes, shape, planes = "TZC", (rounds // depth, depth, channels), slices
    else:
        repeats = max(1, int((_number(settings, *PER_SLICE) or 1) // average))
        if repeats == 1:  # one frame per plane, and maybe several such stacks
            axes, shape = "TZC", (rounds // slices, slices, channels)
            rate = _number(settings, *VOLUME_RATE) if rounds > slices else None
        else:
            axes, shape = "ZTC", (min(slices, rounds // repeats), repeats, channels)
        planes = shape[axes.index("Z")]
    return ScanImageLayout(axes, shape, planes, int(np.prod(shape)), rate)


AVERAGING = (
    "SI.hScan2D.logAverageFactor",
    "SI.acqNumAveragedFrames",
    "state.acq.numAvgFramesSave",
)
FRAME_RATE = ("SI.hRoiManager.scanFrameRate", "SI.scanFrameRate", "state.acq.frameRate")
VOLUME_RATE = ("SI.hRoiManager.scanVolumeRate",)
SLICES = (
    "SI.hStackManager.actualNumSlices",
    "SI.hStackManager.numSlices",
    "SI.stackNumSlices",
    "state.acq.numberOfZSlices",
)
FAST = ("SI.hFastZ.enable", "SI.fastZEnable")
STACK_MODE = "SI.hStackManager.stackMode"
PER_SLICE = (
    "SI.hStackManager.framesPerSlice",
    "SI.acqNumFrames",
    "state.acq.numberOfFrames",
)
VOLUME_PAGES = (
    "SI.hStackManager.numFramesPerVolumeWithFlyback",
    "SI.hFastZ.numFramesPerVolume",
    "SI.hStackManager.numFramesPerVolume",
)
VOLUMES = (
    "SI.hStackManager.actualNumVolumes",
    "SI.hStackManager.numVolumes",
    "SI.hFastZ.numVolumes",
    "SI.fastZNumVolumes",
)


def _pages_per_volume(settings: Mapping[str, Any], slices: int, rounds: int) -> int:
    """Return the number of frames of one channel per volume, with flyback frames."""
    flyback = 0
    if _is_true(
        settings, "SI.hFastZ.discardFlybackFrames", "SI.fastZDiscardFlybackFrames"
    ):
        flyback = int(
            _number(
                settings,
                "SI.hFastZ.numDiscardFlybackFrames",
                "SI.fastZNumDiscardFrames",
            )
            or 0
        )
    stated = [int(n) for name in VOLUME_PAGES if (n := _number(settings, name))]
    candidates = [n for n in [*stated, slices + flyback, slices] if n >= slices]
    volumes = _number(settings, *VOLUMES)
    if volumes:
        for depth in candidates:
            if depth * int(volumes) == rounds:
                return depth
    return candidates[0]


def _number(settings: Mapping[str, Any], *names: str) -> float | None:
    """Return the first setting that is a finite number above 0, or None."""
    for name in names:
        value = settings.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            continue
        if np.isfinite(value) and value > 0:
            return float(value)
    return None


def _is_true(settings: Mapping[str, Any], *names: str) -> bool:
    return any(settings.get(name) in (True, 1) for name in names)


def describe_scanimage(
    settings: Mapping[str, Any],
    layout: ScanImageLayout,
    size: tuple[int, int],
    description: str,
) -> tuple[Metadata, tuple[str, ...]]:
    """Return physical metadata, and remarks for the user.

    Parameters
    ----------
    settings
        See `read_settings`.
    layout
        See `read_scanimage`.
    size
        Rows and columns of a page.
    description
        Description of the first page.
    """
    used = saved_channels(settings)
    names = settings.get("SI.hChannels.channelName")
    if isinstance(names, str):
        names = [names]
    named = isinstance(names, list) and used and max(used) <= len(names)
    remarks = []
    dark = dark_counts(settings, used)
    if np.any(np.nan_to_num(dark)):
        remarks.append(
            "counts without light, which the microscope measured but did not subtract:"
            f" {', '.join(f'{counts:g}' for counts in dark)}"
        )
    if _is_true(settings, "SI.hRoiManager.mroiEnable"):
        remarks.append(
            "several regions of interest: frames show them one below the other"
        )
    metadata = Metadata(
        pixel_size=_pixel_size(settings, size),
        frame_rate=layout.frame_rate,
        channel_names=(
            tuple(str(names[i - 1]) for i in used) if named and names else ()
        ),
        acquisition_time=_epoch(description),
        dark_counts=dark,
    )
    return metadata, tuple(remarks)


def dark_counts(
    settings: Mapping[str, Any], channels: Sequence[int]
) -> tuple[float, ...]:
    """Return the counts without light of the saved channels; empty if not known.

    Parameters
    ----------
    settings
        See `read_settings`.
    channels
        Numbers of the saved channels, counted from 1.

    Returns
    -------
    tuple of float
        0 if ScanImage subtracted its measurement during recording, NaN if it did not
        measure.
    """
    measured = settings.get("SI.hChannels.channelOffset")
    if measured is None or isinstance(measured, str) or not channels:
        return ()
    counts = np.ravel(np.asarray(measured, float))
    subtracted = np.ravel(settings.get("SI.hChannels.channelSubtractOffset", False))
    if max(channels) > counts.size:
        return ()
    found = []
    for number in channels:
        done = subtracted[min(number, subtracted.size) - 1] in (True, 1)
        value = float(counts[number - 1])
        found.append(0.0 if done and np.isfinite(value) else value)
    return tuple(found) if np.isfinite(found).any() else ()


def _pixel_size(
    settings: Mapping[str, Any], size: tuple[int, int]
) -> tuple[float, float] | None:
    """Return the pixel size in micrometres, from the corners of the field of view."""
    corners = np.asarray(settings.get("SI.hRoiManager.imagingFovUm", []), float)
    if corners.shape != (4, 2):
        return None
    width, height = np.ptp(corners, axis=0)
    if width <= 0 or height <= 0:
        return None
    return float(height / size[0]), float(width / size[1])


def _epoch(text: str) -> str | None:
    """Return the start of the acquisition as ISO 8601."""
    numbers = re.search(r"epoch\s*=\s*\[([^\]]+)\]", text)
    values = (
        [float(v) for v in re.split(r"[,\s]+", numbers[1].strip())] if numbers else []
    )
    if len(values) != 6:
        return None
    year, month, day, hour, minute, second = values
    whole = datetime(
        int(year), int(month), int(day), int(hour), int(minute), int(second)
    )
    return whole.replace(microsecond=round((second % 1) * 1e6) % 1_000_000).isoformat()
