"""Find what needs the whole recording first: noise level, border, global peaks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.checkpoint import Checkpoint
from astrocast.detection.threshold.activity import peak_criteria
from astrocast.errors import AstrocastWarning, InvalidValueError, stack_level
from astrocast.io.recording import Recording
from astrocast.io.stores.registration_store import Registration, read_registration
from astrocast.kernels.activity.peaks import peak_mask
from astrocast.kernels.frames.invalid import fill_invalid, frame_means
from astrocast.kernels.frames.noise import estimate_noise_map
from astrocast.kernels.frames.smoothing import gaussian
from astrocast.runtime.blocks import frames_per_block
from astrocast.settings.detection import DetectionSettings

#: bytes of time courses (float32) in memory at once
_TILE_BYTES = 128 << 20
_PEAKS = "peaks"

#: pixels that smoothing carries filled pixels inside, twice its usual sigma of 1.5
BORDER_REACH = 3
#: share of frames at the outermost place from which on a border is widened
BORDER_SHARE = 0.05


def row_tiles(recording: Recording) -> Iterator[slice]:
    """Yield ranges of rows whose whole time courses fit into memory."""
    n, rows, columns = recording.shape
    step = max(1, _TILE_BYTES // (4 * n * columns))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def absolute_level(
    recording: Recording, settings: DetectionSettings, pool: Executor | None
) -> float | None:
    """Return the absolute threshold; None where the settings have none.

    With ``adjust_for_noise`` it is multiplied by the square root of the noise level.
    """
    if settings.threshold is None:
        return None
    if not settings.adjust_for_noise:
        return float(settings.threshold)
    if recording.shape[0] < 2:
        raise InvalidValueError(
            "adjust_for_noise needs at least two frames; this recording has one"
        )
    tiles = [
        estimate_noise_map(
            recording.read(0, recording.shape[0], rows=rows).astype(
                np.float32, copy=False
            ),
            pool,
        )
        for rows in row_tiles(recording)
    ]
    return float(settings.threshold) * float(
        np.sqrt(np.nanmedian(np.concatenate(tiles)))
    )


def whole_course_peaks(
    recording: Recording,
    settings: DetectionSettings,
    checkpoint: Checkpoint,
    pool: Executor | None,
    advance: Callable[[int], None] = lambda n: None,
) -> Callable[[int, int], NDArray[np.bool_]] | None:
    """Find peaks by their prominence in the whole time course.

    The recording is read in ranges of rows, with the further rows that smoothing needs.
    The marks are stored on disk, one bit per voxel.

    Returns
    -------
    callable or None
        (start, stop) -> marks, bool (frame, row, column); None where the settings give
        a window (``temporal_wlen``), or no temporal criterion applies.
    """
    criteria = peak_criteria(settings)
    if (
        settings.threshold is not None
        or not settings.use_temporal
        or criteria.reach is not None
    ):
        return None
    n, rows, columns = recording.shape
    width = -(-columns // 8)
    path: Path = checkpoint.blocks / "peaks.bits"
    if not path.exists():
        path.touch()
    bits = np.memmap(path, np.uint8, "r+", shape=(n, rows, width))
    sigma, radius, mode = settings.smoothing
    reach = 0 if sigma == 0 else (radius or 0)
    fills = np.concatenate(
        [
            frame_means(block)
            for _, block in recording.blocks(frames_per_block(recording))
        ]
    )
    for index, tile in enumerate(row_tiles(recording)):
        if not checkpoint.has(_PEAKS, index):
            around = slice(max(0, tile.start - reach), min(rows, tile.stop + reach))
            frames, _ = fill_invalid(recording.read(0, n, rows=around), fills)
            smooth = (
                frames
                if sigma == 0
                else gaussian(frames, sigma, radius, mode, pool=pool)
            )
            inner = np.ascontiguousarray(
                smooth[:, tile.start - around.start : tile.stop - around.start]
            )
            bits[:, tile] = np.packbits(peak_mask(inner, criteria, pool=pool), axis=2)
            bits.flush()
            checkpoint.save(_PEAKS, index)
        advance(tile.stop - tile.start)

    def marks(start: int, stop: int) -> NDArray[np.bool_]:
        return np.unpackbits(bits[start:stop], axis=2, count=columns).view(np.bool_)

    return marks


def known_registration(recording: Recording) -> Registration | None:
    """Return the motion correction stored beside a recording.

    None where it is missing or has another number of frames.
    """
    if recording.path is None:
        return None
    found = read_registration(recording.path, recording.loc)
    return (
        found if found is not None and len(found.shifts) == recording.shape[0] else None
    )


def widen_border(registration: Registration) -> tuple[int, int, int, int]:
    """Return the filled border, wider on sides that many frames need whole."""
    rows, columns = registration.shifts.T
    top, bottom, left, right = (
        width + BORDER_REACH * bool(np.mean(need > max(width, 2) - 1) > BORDER_SHARE)
        for width, need in zip(
            registration.border, (-rows, rows, -columns, columns), strict=True
        )
    )
    return top, bottom, left, right


def border_widths(
    shape: tuple[int, int, int],
    settings: DetectionSettings,
    registration: Registration | None,
) -> tuple[int, int, int, int]:
    """Return the pixels at top, bottom, left and right that are left out.

    "auto" leaves out what registration filled. Where many frames lie far off (after a
    jump), smoothing would carry the filled pixels further inside: `BORDER_REACH` more.
    """
    if settings.exclude_border == "auto":
        border = widen_border(registration) if registration else (0, 0, 0, 0)
        if border[0] + border[1] >= shape[1] or border[2] + border[3] >= shape[2]:
            warnings.warn(
                "registration moved frames by the whole field, so that no pixel was"
                " seen in all of them; nothing is left out at the edges. Look at the"
                " shifts, or switch motion correction off",
                AstrocastWarning,
                stacklevel=stack_level(),
            )
            border = (0, 0, 0, 0)
    else:
        border = (settings.exclude_border,) * 4
    if border[0] + border[1] >= shape[1] or border[2] + border[3] >= shape[2]:
        raise InvalidValueError(
            f"exclude_border is {border} pixels (top, bottom, left, right), and covers"
            f" the whole frame of {shape[1]} x {shape[2]} pixels; use a smaller one"
        )
    return border
