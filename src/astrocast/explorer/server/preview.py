"""Preview of other parameters on a crop of the recording.

The crop is written to a separate file and processed by the stages of a run.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.detection import Detector
from astrocast.events.array_columns import as_masks
from astrocast.explorer.server.json_values import plain
from astrocast.io.export.tables import scalars
from astrocast.io.recording import Metadata
from astrocast.io.registry import create_recording, open_recording
from astrocast.io.stores.event_table import read_event_table
from astrocast.io.stores.registration_store import (
    Registration,
    read_registration,
    registration_path,
    write_registration,
)
from astrocast.kernels.curation.compare_events import compare_events
from astrocast.kernels.masks.packed_masks import Masks, unpack_mask
from astrocast.kernels.masks.pixel_outlines import outline_frames
from astrocast.pipeline.settings import RunSettings
from astrocast.preparation import Delta, MotionCorrection

MOVIE, SIGNAL = "mc/ch0", "df/ch0"


@dataclass(frozen=True)
class Crop:
    """Crop and parameters of a preview; sent to the process that computes it.

    Parameters
    ----------
    stage
        ``detection``, ``delta`` or ``motion``.
    settings
        Parameters of the run.
    recording
        File of the movie.
    movie
        Dataset that is searched for events (for ``motion`` the raw movie).
    signal
        Dataset of its dF; None: dF is computed for the crop.
    rows, columns, frames
        (first, last + 1) in the recording.
    store
        Event store to compare with, or None.
    border
        Pixels at the top, bottom, left and right of the crop in which there are no
        events.
    """

    stage: str
    settings: RunSettings
    recording: Path
    movie: str | None
    signal: str | None
    rows: tuple[int, int]
    columns: tuple[int, int]
    frames: tuple[int, int]
    store: Path | None
    border: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return frames, rows and columns of the crop."""
        return tuple(b - a for a, b in (self.frames, self.rows, self.columns))  # type: ignore[return-value]


def preview(crop: Crop) -> dict[str, Any]:
    """Return the events found in the crop as plain values, for JSON."""
    folder = Path(tempfile.mkdtemp(prefix="astrocast-preview-"))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = _STAGES[crop.stage](crop, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    messages = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    return {
        "stage": crop.stage,
        "rows": list(crop.rows),
        "columns": list(crop.columns),
        "frames": list(crop.frames),
        "warnings": list(dict.fromkeys(messages)),
        **found,
    }


#: stages whose kernels are not loaded yet in this process
_cold = ["detection", "delta", "motion"]


def warm_up(argument: object = None) -> None:
    """Load the kernels of all stages, so that the first real preview is quick."""
    while warm_next_stage():
        pass


def warm_next_stage() -> bool:
    """Load the kernels of one stage; return False if all were loaded before.

    It computes a preview of 60 frames of 32 x 32 pixels.
    """
    if not _cold:
        return False
    stage = _cold.pop(0)
    frames = np.random.default_rng(0).poisson(100, (60, 32, 32)).astype(np.uint16)
    frames[20:35, 10:20, 10:20] += 150
    settings = RunSettings.checked(motion={"max_shifts": 4})
    side = (0, 32)
    with tempfile.TemporaryDirectory(prefix="astrocast-preview-") as folder:
        path = Path(folder) / "movie.h5"
        _store_crop(path, MOVIE, frames, Metadata())
        preview(Crop(stage, settings, path, MOVIE, None, side, side, (0, 60), None))
    return True


def _cut(crop: Crop, loc: str | None) -> tuple[NDArray[Any], Metadata]:
    with open_recording(crop.recording, loc) as movie:
        block = movie.read(*crop.frames, slice(*crop.rows), slice(*crop.columns))
        return block, movie.metadata


def _store_crop(path: Path, loc: str, block: NDArray[Any], metadata: Metadata) -> None:
    shape = (block.shape[0], block.shape[1], block.shape[2])
    with create_recording(path, loc, shape, block.dtype, metadata=metadata) as writer:
        writer.write(0, block)


def _write_registration(crop: Crop, path: Path) -> None:
    """Write the border and the bad frames of the crop beside it."""
    known = read_registration(crop.recording, crop.movie)
    frames, rows, columns = crop.shape
    if known is None:
        nothing = (
            np.zeros((frames, 2), np.float32),
            np.zeros((rows, columns), np.float32),
        )
        cut = Registration(*nothing, {}, crop.border)
    else:
        span = slice(*crop.frames)
        area = known.template[slice(*crop.rows), slice(*crop.columns)]
        quality = {name: values[span] for name, values in known.quality.items()}
        shifts, summary = known.shifts[span], known.summary
        cut = Registration(shifts, area, quality, crop.border, None, summary)
    write_registration(registration_path(path, MOVIE), cut)


def _baseline(crop: Crop, path: Path) -> None:
    """Write the dF of the crop beside its movie."""
    settings = crop.settings.delta
    window = settings.window_for(crop.shape[0])
    window = min(window, crop.shape[0] - 1)
    delta = Delta(path, loc=MOVIE)
    delta.run(**settings.model_dump() | {"window": window})
    delta.save(path, loc=SIGNAL, chunk_strategy="XY", overwrite=True)


def _preview_detection(crop: Crop, folder: Path) -> dict[str, Any]:
    path = folder / "crop.h5"
    block, metadata = _cut(crop, crop.movie)
    _store_crop(path, MOVIE, block, metadata)
    _write_registration(crop, path)
    if crop.signal is not None:
        _store_crop(path, SIGNAL, *_cut(crop, crop.signal))
    else:
        _baseline(crop, path)
    settings = crop.settings.detection
    parameters: dict[str, Any] = settings.model_dump(exclude={"calibration"})
    calibrated = settings.method == "calibrated"
    parameters |= {
        "loc": MOVIE if calibrated else SIGNAL,
        "signal_loc": SIGNAL if calibrated else None,
        "exclude_border": "auto",  # the part of the border that lies in the crop
        "z_slice": None,
    }
    store = Detector(path, output=folder / "crop.roi").run(
        calibration=settings.calibration, **parameters
    )
    return _compare(crop, read_event_table(store))


def _compare(crop: Crop, table: pd.DataFrame) -> dict[str, Any]:
    """Compare the events found in the crop with the stored events."""
    corner = np.array([crop.frames[0], crop.rows[0], crop.columns[0]])
    origins = table[["z0", "x0", "y0"]].to_numpy(np.int64)
    masks = as_masks(table["mask"]).masks
    after = [_voxels(crop, masks, i, origins[i]) for i in range(len(table))]
    before, numbers, lost = _present(crop)
    changes = compare_events([v for v, _ in before], after)
    shown = scalars(table)
    events = [
        {
            "kind": kind,
            "z0": int(origins[i, 0] + corner[0]),
            "z1": int(origins[i, 0] + corner[0] + masks.shapes[i, 0]),
            "partner": numbers[changes.partner[i]] if changes.partner[i] >= 0 else None,
            "overlap": round(float(changes.overlap[i]), 3),
            "v_area": int(table["v_area"].iloc[i]),
            "confidence": _confidence(shown, i),
            "frames": _frames(masks, i, origins[i] + corner),
        }
        for i, kind in enumerate(changes.after)
    ]
    events += [
        {"kind": "lost", "partner": numbers[i], **lost(i)}
        for i, kind in enumerate(changes.before)
        if kind == "lost"
    ]
    kinds = [event["kind"] for event in events]
    counts = {kind: kinds.count(kind) for kind in ("kept", "changed", "new", "lost")}
    return {"events": events, "counts": counts, "found": len(after)}


def _confidence(table: pd.DataFrame, i: int) -> float | None:
    if "confidence" not in table:
        return None
    value = float(table["confidence"].iloc[i])
    return value if np.isfinite(value) else None


def _voxels(
    crop: Crop, masks: Masks, i: int, origin: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the voxels of an event as flat indices of the crop."""
    at = np.argwhere(unpack_mask(masks, i)) + origin
    inside = ((at >= 0) & (at < crop.shape)).all(axis=1)
    return np.ravel_multi_index(tuple(at[inside].T), crop.shape).astype(np.int64)


def _frames(masks: Masks, i: int, origin: NDArray[np.int64]) -> dict[str, list[int]]:
    """Return the outline of an event in each of its frames, frame -> numbers."""
    offsets = masks.offsets[i : i + 2]
    one = Masks(masks.bits, offsets, masks.shapes[i : i + 1])
    first = int(origin[0])
    return {
        str(t): outline_frames(one, origin[None], t).points.ravel().tolist()
        for t in range(first, first + int(masks.shapes[i, 0]))
    }


def _present(crop: Crop) -> tuple[list[Any], list[int], Any]:
    """Return stored events in the crop, their numbers, and a function to show one."""
    if crop.store is None:
        return [], [], None
    table = read_event_table(crop.store, ["mask", "z0", "x0", "y0", "v_area"])
    masks = as_masks(table["mask"]).masks
    origins = table[["z0", "x0", "y0"]].to_numpy(np.int64)
    corner = np.array([crop.frames[0], crop.rows[0], crop.columns[0]])
    low, high = origins - corner, origins + masks.shapes - corner
    near = np.flatnonzero(((low < crop.shape) & (high > 0)).all(axis=1))
    found = [(_voxels(crop, masks, i, origins[i] - corner), i) for i in map(int, near)]
    found = [(voxels, i) for voxels, i in found if len(voxels)]

    def show(k: int) -> dict[str, Any]:
        i = found[k][1]
        return {
            "z0": int(origins[i, 0]),
            "z1": int(origins[i, 0] + masks.shapes[i, 0]),
            "overlap": 0.0,
            "v_area": int(table["v_area"].iloc[i]),
            "confidence": None,
            "frames": _frames(masks, i, origins[i]),
        }

    return found, [int(table.index[i]) for _, i in found], show


def _preview_delta(crop: Crop, folder: Path) -> dict[str, Any]:
    """Return the mean of the crop, and its current and its new background."""
    path = folder / "crop.h5"
    block, metadata = _cut(crop, crop.movie)
    _store_crop(path, MOVIE, block, metadata)
    settings = crop.settings.delta.model_copy(update={"method": "dF"})
    chosen = crop.settings.model_copy(update={"delta": settings})
    _baseline(Crop(**{**vars(crop), "settings": chosen}), path)
    movie = block.mean(axis=(1, 2), dtype=np.float64)
    with open_recording(path, SIGNAL) as change:
        after = movie - change.to_array().mean(axis=(1, 2), dtype=np.float64)
    lines = {"signal": movie, "with these parameters": after}
    if crop.signal is not None:
        now, _ = _cut(crop, crop.signal)
        lines["now"] = movie - now.mean(axis=(1, 2), dtype=np.float64)
    return {"lines": {name: plain(values) for name, values in lines.items()}}


def _preview_motion(crop: Crop, folder: Path) -> dict[str, Any]:
    """Return the current and the new shifts of the frames of the crop."""
    path = folder / "crop.h5"
    block, metadata = _cut(crop, crop.movie)
    _store_crop(path, "data/ch0", block, metadata)
    motion = MotionCorrection()
    # the crop contains one channel only
    chosen = crop.settings.motion.model_dump(exclude={"enabled", "reference_channel"})
    if crop.rows[0] % 2 and not isinstance(chosen["bidi"], str):
        # odd lines of the recording are even lines of this crop
        chosen["bidi"] = -chosen["bidi"]
    motion.run(path, loc="data/ch0", **chosen)
    found = motion.registration
    lines = {
        "rows, with these parameters": found.shifts[:, 0],
        "columns, with these parameters": found.shifts[:, 1],
    }
    known = read_registration(crop.recording, (crop.movie or "").replace("data", "mc"))
    if known is not None:
        now = known.shifts[slice(*crop.frames)]
        # the two templates may be displaced: remove the median difference
        now = now - np.median(now - found.shifts, axis=0)
        lines |= {"rows, now": now[:, 0], "columns, now": now[:, 1]}
    numbers = {
        "crispness before": float(found.summary["crispness_before"]),
        "crispness after": float(found.summary["crispness_after"]),
        "unreliable frames": int(found.quality["bad_frame"].sum()),
    }
    return {
        "lines": {name: plain(values) for name, values in lines.items()},
        "numbers": {name: round(value, 3) for name, value in numbers.items()},
    }


_STAGES = {
    "detection": _preview_detection,
    "delta": _preview_delta,
    "motion": _preview_motion,
}
