"""Recordings for accuracy measurements, rendered and registered once, then cached."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import astrocast.preparation.motion_correction as motion_correction
import astrocast.simulation.simulator as simulator
from astrocast.detection import Detector
from astrocast.io.naming import PARTIAL
from astrocast.io.recording import Metadata
from astrocast.io.registry import create_recording, open_recording
from astrocast.io.stores.event_table import read_events
from astrocast.io.stores.frame_quality import write_frame_quality
from astrocast.io.stores.registration_store import read_registration
from astrocast.io.writing.files import Replacement, remove_leftovers_in
from astrocast.kernels.compiling import source_stamp
from astrocast.runtime.fingerprint import fingerprint
from astrocast.runtime.frame_quality import find_frame_quality
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.motion import MotionSettings
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation.judging import Judgement, judge_events

RECORDING, TRUTH, EVENTS = "recording.h5", "truth.npz", "events.parquet"
RAW, REGISTERED = "data/ch0", "mc/ch0"
#: largest size of the cache in bytes; beyond it the oldest recordings are removed
LARGEST_CACHE = 6 << 30


@dataclass(frozen=True)
class Case:
    """A simulated recording in a folder, registered as in `astrocast run`.

    Parameters
    ----------
    folder
        Folder with ``recording.h5`` (``data/ch0`` and ``mc/ch0``) and the truth.
    settings
        Settings of the recording.
    """

    folder: Path
    settings: SimulationSettings

    @property
    def recording(self) -> Path:
        """The HDF5 file with the raw and the registered movie."""
        return self.folder / RECORDING

    def truth(self) -> tuple[list[NDArray[np.int64]], pd.DataFrame]:
        """Return the voxels of each true event in the registered movie, and the table.

        The position of the registered movie is that of most frames, not that of the
        scene without motion. So the truth is moved by the median difference of true and
        estimated shifts. Voxels in the border, which was not always in view, are
        removed; so are events without other voxels.
        """
        table = pd.read_parquet(self.folder / EVENTS)
        with np.load(self.folder / TRUTH) as stored:
            flat, first, shifts = (stored[k] for k in ("voxels", "first", "shifts"))
        border, offset = (0, 0, 0, 0), np.zeros(2, int)
        found = read_registration(self.recording, REGISTERED)
        if found is not None:
            border = found.border
            offset = np.rint(np.median(shifts - found.shifts, axis=0)).astype(int)
        lists = [
            move_voxels(voxels, self.settings.shape, offset, border)
            for voxels in np.split(flat, first[1:-1])
        ]
        kept = [k for k, voxels in enumerate(lists[: len(table)]) if len(voxels)]
        return [lists[k] for k in kept], table.iloc[kept]


def move_voxels(
    voxels: NDArray[np.int64],
    shape: tuple[int, int, int],
    offset: NDArray[Any],
    border: tuple[int, int, int, int],
) -> NDArray[np.int64]:
    """Return flat indices of voxels moved by ``offset``, without those in the border.

    ``offset`` is (rows, columns); ``border`` is the number of pixels at the top,
    bottom, left and right.
    """
    z, y, x = np.unravel_index(voxels, shape)
    y, x = y + offset[0], x + offset[1]
    top, bottom, left, right = border
    inside = (y >= top) & (y < shape[1] - bottom) & (x >= left) & (x < shape[2] - right)
    kept = (z[inside], y[inside], x[inside])
    return np.asarray(np.ravel_multi_index(kept, shape), np.int64)


def default_cache() -> Path:
    """Return the temporary folder for the rendered cases."""
    user = os.environ.get("USER") or str(getattr(os, "getuid", lambda: "user")())
    return Path(tempfile.gettempdir()) / f"astrocast-accuracy-{user}"


def prepare_case(settings: SimulationSettings, cache: Path) -> Case:
    """Return a case, from the cache or newly rendered and registered.

    A case is made again if the settings, or the code that renders and registers,
    changed. Several processes may make the same case at the same time; the first
    complete one is used.
    """
    folder = cache / _fingerprint(settings)
    if not (folder / EVENTS).exists():
        cache.mkdir(parents=True, exist_ok=True)
        remove_leftovers_in(cache)
        made = Replacement(folder)
        try:
            made.beside.mkdir()
            _make(settings, made.beside)
            try:
                made.beside.rename(folder)
            except OSError:  # another process was faster
                if not (folder / EVENTS).exists():
                    raise
        finally:
            made.discard()
        _remove_oldest(cache, folder)
    folder.touch()
    return Case(folder, settings)


def _fingerprint(settings: SimulationSettings) -> str:
    stamps = [
        source_stamp(Path(str(module.__file__)))
        for module in (simulator, motion_correction)
    ]
    return fingerprint(settings.model_dump(), simulator.ALGORITHM_VERSION, stamps)


def _make(settings: SimulationSettings, folder: Path) -> None:
    """Render and register a recording as in `astrocast run`."""
    plan = simulator.Simulator(settings)
    path, n = folder / RECORDING, settings.frames
    metadata = Metadata((settings.pixel_size,) * 2, settings.frame_rate)
    with create_recording(
        path, RAW, plan.shape, settings.dtype, metadata=metadata
    ) as writer:
        writer.write(0, plan.movie(0, n))
    with open_recording(path, RAW) as movie:
        write_frame_quality(path, RAW, find_frame_quality(movie))
    motion = motion_correction.MotionCorrection()
    motion.run(path, loc=RAW, **MotionSettings().model_dump())
    motion.save(path, loc=REGISTERED, chunk_strategy="XY")
    shifts = plan.motion.shifts
    if plan.motion.line_shifts is not None:
        shifts = plan.motion.line_shifts.mean(axis=1)
    voxels = plan.voxels
    np.savez(
        folder / TRUTH,
        voxels=np.concatenate([*voxels, np.empty(0, np.int64)]),
        first=np.cumsum([0, *map(len, voxels)]),
        shifts=shifts,
    )
    # the table is written last: a case with a table is complete
    plan.events.to_parquet(folder / EVENTS, index=False)


def _remove_oldest(cache: Path, kept: Path) -> None:
    """While the cache is too large, remove the case with the oldest use."""
    folders = []
    for folder in cache.iterdir():
        if PARTIAL in folder.name:  # another process makes it
            continue
        try:
            size = sum(f.stat().st_size for f in folder.iterdir())
            folders.append((folder.stat().st_mtime, size, folder))
        except OSError:  # another process has removed it
            continue
    total = sum(size for _, size, _ in folders)
    for _, size, folder in sorted(folders):
        if total <= LARGEST_CACHE:
            return
        if folder != kept:
            shutil.rmtree(folder, ignore_errors=True)
            total -= size


def detect_case(
    case: Case, settings: CalibratedSettings | None = None
) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    """Return the voxels and the confidence of each event found in a case.

    The detection runs on the registered movie as in `astrocast run`, but without dF,
    which only the traces need.
    """
    with tempfile.TemporaryDirectory(prefix="astrocast-accuracy-") as folder:
        store = Detector(case.recording, output=Path(folder) / "events.roi").run(
            REGISTERED,
            exclude_border="auto",
            method="calibrated",
            calibration=settings or CalibratedSettings(),
        )
        table = read_events(store, ["z0", "x0", "y0", "mask", "confidence", "part_of"])
    table = table[table["part_of"] == 0]
    shape = case.settings.shape
    found = []
    for mask, *low in zip(
        table["mask"], table["z0"], table["x0"], table["y0"], strict=True
    ):
        places = np.stack(np.nonzero(mask)) + np.array(low, np.int64)[:, None]
        found.append(np.ravel_multi_index(tuple(places), shape).astype(np.int64))
    return found, table["confidence"].to_numpy(float)


def judge_case(case: Case, settings: CalibratedSettings | None = None) -> Judgement:
    """Detect the events of a case and compare them with the truth."""
    truth, table = case.truth()
    found, confidence = detect_case(case, settings)
    return judge_events(truth, found, table["kind"].to_list(), confidence)
