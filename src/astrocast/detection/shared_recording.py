"""Access to the recording of `Detector.run`: lazy, in memory, or in a shared file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.memory import ArrayRecording
from astrocast.io.recording import Recording
from astrocast.settings.detection import DetectionSettings


@contextmanager
def hold_recording(
    recording: Recording, settings: DetectionSettings, folder: Path
) -> Iterator[Recording]:
    """Return the recording lazily, in memory, or in a memory-mapped file.

    ``lazy`` and ``use_on_disk_sharing`` of the settings decide. The memory-mapped file
    is in ``folder`` and is removed at the end.
    """
    if settings.lazy:
        yield recording
        return
    if not settings.use_on_disk_sharing:
        held: Recording = ArrayRecording(
            recording.to_array(), recording.metadata, recording.path
        )
        held.loc = recording.loc
        yield held
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix="shared-") as place:
        shared = np.lib.format.open_memmap(
            Path(place) / "recording.npy",
            mode="w+",
            dtype=recording.dtype,
            shape=recording.shape,
        )
        for start, block in recording.blocks(64):
            shared[start : start + len(block)] = block
        held = ArrayRecording(shared, recording.metadata, recording.path)
        held.loc = recording.loc
        yield held
        del held
        remove_memory_map(shared)


def remove_memory_map(file_path: str | Path | NDArray[Any]) -> None:
    """Close a memory-mapped array and delete its file, see `Detector.cleanup_mmap`."""
    if isinstance(file_path, np.memmap):
        path = Path(str(file_path.filename))
        file_path.flush()
        # NumPy holds the last reference to the mapping: close it explicitly
        file_path._mmap.close()  # type: ignore[attr-defined]  # NumPy's stubs leave it out
    else:
        path = Path(str(file_path))
    path.unlink(missing_ok=True)
