"""Open the recording of a single stage, also one that was not converted before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.io.recording import Recording
from astrocast.io.registry import open_recording
from astrocast.io.stores.frame_quality import frame_quality_path
from astrocast.io.views import MappedRecording
from astrocast.kernels.frames.alternation import ALTERNATING, measure_alternation
from astrocast.runtime.blocks import frames_per_block, plan_blocks

#: largest value: the sum of squares of a million such values still fits into float32
LARGEST_VALUE = 1e15
#: number of frames, from the middle, that are checked for two alternating channels
SAMPLE = 24
#: attributes of datasets that this package wrote
OWN_ATTRIBUTES = {"conversion", "border", "delta", "denoising"}


def open_stage_input(
    source: Any, loc: str | None = None, *, check_channels: bool = True
) -> Recording:
    """Open the input of a stage, and check files that were not converted before.

    Arrays, open recordings and results of this package are not checked.

    Parameters
    ----------
    source, loc
        See `astrocast.io.open_recording`.
    check_channels
        Refuse a file if its even and odd frames look like two channels.

    Raises
    ------
    InvalidValueError
        Two channels seem to alternate; or, when frames are read, a value exceeds 1e15.
    """
    recording = open_recording(source, loc)
    if not isinstance(source, str | Path) or is_own_result(recording):
        return recording
    try:
        if check_channels:
            refuse_alternation(recording)
    except BaseException:
        recording.close()
        raise
    if recording.dtype.kind == "f" or recording.dtype.itemsize > 4:
        checked = MappedRecording(recording, _RefuseLarge(str(recording.path)))
        checked.channels = recording.channels
        return checked
    return recording


def is_own_result(recording: Recording) -> bool:
    """Return whether this package wrote the recording.

    A conversion writes a table of frames beside it; stages write attributes in HDF5.
    """
    path = recording.path
    if path is None:
        return False
    if frame_quality_path(path, recording.loc).exists():
        return True
    if path.suffix.lower() not in (".h5", ".hdf5") or not recording.loc:
        return False
    import h5py

    with h5py.File(path, "r") as file:
        found = file.get(recording.loc)
        return found is not None and bool(OWN_ATTRIBUTES & set(found.attrs))


def refuse_alternation(recording: Recording) -> None:
    """Raise an error if two channels alternate in a recording.

    A recording is not checked if its file names the channels.
    """
    if recording.choices.get("channel") or recording.metadata.channel_names:
        return
    middle = len(recording) // 2
    first = max(0, middle - SAMPLE // 2)
    last = min(len(recording), middle + SAMPLE // 2)
    pieces = plan_blocks(last, frames_per_block(recording), first=first)
    ratio = measure_alternation(
        frame for b in pieces for frame in recording.read(b.start, b.stop)
    )
    if ratio > ALTERNATING:
        raise InvalidValueError(
            f"{recording.path or 'the recording'} seems to contain two alternating"
            f" channels: successive frames differ {ratio:.1f} times as much as frames"
            " at a distance of two (expected for one channel: about 1). Convert it with"
            " channels=2 (command line: --set conversion.channels=2 in a run, --set"
            " channels=2 in convert). If it is one channel, pass check_channels=False"
            " (command line: --set conversion.check_channels=false in a run, --set"
            " check_channels=false in convert, --one-channel in other commands)"
        )


class _RefuseLarge:
    """Return frames unchanged; raise an error if float32 cannot square a value."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, frames: NDArray[Any]) -> NDArray[Any]:
        if frames.size:
            largest = max(abs(float(frames.min())), abs(float(frames.max())))
            if not np.isfinite(largest):  # NaN and infinity: the stage treats them
                finite = frames[np.isfinite(frames)]
                largest = float(np.abs(finite).max(initial=0.0))
            if largest > LARGEST_VALUE:
                raise InvalidValueError(
                    f"{self.name} has values up to {largest:g}; the largest possible"
                    f" value is {LARGEST_VALUE:g}, because squares of larger values do"
                    " not fit into float32. Check the export, or divide the recording"
                    " by a constant"
                )
        return frames
