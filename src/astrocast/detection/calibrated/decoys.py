"""Decoys: what the same search finds in the inverted signal.

An event only raises the signal. What is extrinsic (a vessel, diffuse light, the focus,
residual motion) and noise lower it as often, so the search of the inverted signal finds
about as many of these as the search itself (the target-decoy approach, Elias & Gygi
2007, https://doi.org/10.1038/nmeth1019). At most a few million voxels are searched.

The size of extrinsic fluctuations is measured below the background, where a decoy is,
too, but no event. So a decoy is judged by the fluctuations without its own voxels.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.detection.calibrated.batches import Voxels
from astrocast.detection.calibrated.divide import DividedEvent, find_events
from astrocast.detection.calibrated.stretch import stretches
from astrocast.detection.checkpoint import Checkpoint
from astrocast.errors import AstrocastWarning, stack_level
from astrocast.kernels.calibrated.candidates import (
    NoiseOfPixels,
    noise_on_runs,
    regions_to_keep,
    stand_out,
    values_on_runs,
)
from astrocast.kernels.calibrated.event_probability import (
    decoy_share,
    event_probability,
)
from astrocast.kernels.masks.runs import Runs, find_runs, list_voxels
from astrocast.kernels.segmentation.labelling import label_runs
from astrocast.kernels.segmentation.ordering import unique_values
from astrocast.runtime.blocks import Block
from astrocast.settings.calibrated import CalibratedSettings

#: name of the table of decoys in the event store, and of the step of a run in which
#: what may be one is kept
DECOYS, DECOY_STEP = "decoys.parquet", "decoys"
#: voxels of a recording in which decoys are looked for, and the most frames of a piece
#: where that is not the whole recording
_SEARCHED_VOXELS, _PIECE = 16 << 20, 64
#: decoys in a recording from which a warning is given, and as a share of the events
_WARN_FROM, _WARN_SHARE = 3.0, 0.05
#: names under which the low voxels of a block are stored
_LOW = ("low_start", "low_stop", "low_first", "low_value", "low_single")
_DECOY = ("decoy_at", "decoy_value", "decoy_noise", "decoy_single", "decoy_ratio")


@dataclass(frozen=True)
class Decoys:
    """Heights and sizes of the decoys of a recording.

    Parameters
    ----------
    height
        In standard deviations, (decoy,).
    voxels
        Number of voxels, (decoy,).
    searched
        Share of the recording that was searched for them, 0 to 1.
    """

    height: NDArray[np.float64]
    voxels: NDArray[np.int64]
    searched: float

    @classmethod
    def of(
        cls,
        events: list[DividedEvent],
        shape: tuple[int, int, int],
        settings: CalibratedSettings,
    ) -> Decoys:
        """Return what is known of decoys in a recording of a shape."""
        spans = (
            searched_frames(span, shape, settings.stretch)
            for span in stretches(shape[0], settings.stretch)
        )
        frames = sum(end - first for first, end in spans)
        height = np.array([event.height for event in events], np.float64)
        size = np.array([len(event.layers.voxels) for event in events], np.int64)
        return cls(height, size, frames / shape[0])

    @property
    def expected(self) -> float:
        """About how many false events decoys predict in the whole recording."""
        return len(self.height) / self.searched if len(self.height) else 0.0

    def probability(
        self, height: NDArray[Any], voxels: NDArray[Any], cut: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the probability of events that they are events, (event,)."""
        share = decoy_share(height, voxels, self.height, self.voxels, self.searched)
        return event_probability(height, cut) * (1 - share)


def warn_of_false(
    probability: NDArray[np.float64], decoys: Decoys, asked: float
) -> None:
    """Warn where many of the events may be false.

    Parameters
    ----------
    probability
        Of each event that it is one, (event,).
    decoys
        Of the recording.
    asked
        False events that the settings allow noise to cause.
    """
    count = len(probability)
    doubtful = max(float((1 - probability).sum()), decoys.expected)
    least = max(_WARN_FROM + 3 * asked, _WARN_SHARE * count)
    if count and decoys.expected >= least:
        warnings.warn(
            f"About {round(min(doubtful, count))} of {count} events may be false: the"
            f" same search finds {round(decoys.expected)} in the inverted signal, which"
            " events do not lower. Likely causes: a vessel, motion, drift of the focus."
            " Sort the events by confidence; decoys.parquet beside them says where",
            AstrocastWarning,
            stacklevel=stack_level(),
        )


def searched_frames(
    span: tuple[int, int], shape: tuple[int, int, int], length: int
) -> tuple[int, int]:
    """Return the frames of a stretch in which decoys are looked for: first, end.

    Parameters
    ----------
    span
        First frame of the stretch and its end.
    shape
        Of the recording, (frame, row, column).
    length
        About how many frames a stretch has.

    Examples
    --------
    >>> searched_frames((0, 500), (500, 64, 64), 512)
    (0, 500)
    >>> searched_frames((0, 500), (1000, 512, 512), 512)
    (218, 282)
    >>> searched_frames((500, 1000), (1000, 512, 512), 512)
    (500, 500)
    """
    start, stop = span
    pixels = shape[1] * shape[2]
    share = _SEARCHED_VOXELS / (shape[0] * pixels)
    if share >= 1:
        return span
    piece = int(np.clip(_SEARCHED_VOXELS // pixels, 16, _PIECE))
    wanted = share * (stop - start)
    index = round(start / max(length, 1))
    if wanted < piece:
        # a piece in some of the stretches, the first among them
        each = wanted / piece
        chosen = np.ceil((index + 1) * each) > np.ceil(index * each)
        wanted = piece if chosen else 0
    count = min(round(wanted), stop - start)
    first = start + (stop - start - count) // 2
    return (first, first + count) if count else (start, start)


def find_low_voxels(
    signal: tuple[NDArray[np.float32], NDArray[np.float32]],
    noise: tuple[NDArray[np.float32], NDArray[np.int64]],
    left_out: tuple[NDArray[np.bool_], NDArray[np.bool_] | None],
    frames: slice,
    settings: CalibratedSettings,
    border: tuple[int, int, int, int],
    pool: Executor | None,
) -> dict[str, NDArray[Any]]:
    """Return the voxels of a block that lie below the noise, inverted.

    Parameters
    ----------
    signal
        Smoothed signal of the block and its signal before, float32.
    noise
        Standard deviation (kind of frame, row, column), and the kind of each frame.
    left_out
        Frames and voxels (or None) in which nothing is looked for, bool.
    frames
        Of the block, in which decoys are looked for.
    settings, border, pool
        Of the search.

    Returns
    -------
    dict
        Arrays to be stored with the block.
    """
    smooth, above = (-part[frames] for part in signal)
    deviation, which = noise
    mask = stand_out(smooth, deviation, which[frames], settings.candidate, border, pool)
    silent, invalid = left_out
    mask[silent[frames]] = False
    if invalid is not None:
        mask &= ~invalid[frames]
    runs = find_runs(mask, pool)
    values = values_on_runs(runs, smooth, pool), values_on_runs(runs, above, pool)
    arrays = runs.start, runs.stop, runs.first, *values
    return dict(zip(_LOW, arrays, strict=True))


def keep_decoys(
    stored: Mapping[str, NDArray[Any]],
    noise: NoiseOfPixels,
    first: int,
    shape: tuple[int, int, int],
    settings: CalibratedSettings,
    threshold: float,
) -> dict[str, NDArray[Any]]:
    """Return the low voxels of a block that may be part of a decoy, to be stored.

    Parameters
    ----------
    stored
        From `find_low_voxels`.
    noise
        Of the frames searched; the height of the background is that of the inverted
        signal. Its ratio is kept, but does not count yet.
    first
        Frame of the recording that is the first of these.
    shape
        Of these frames, (frame, row, column).
    settings, threshold
        Of the search.
    """
    start, stop, of_row, value, single = (stored[name] for name in _LOW)
    runs = Runs(start, stop, of_row, shape)
    ratio = noise.ratio
    noise = replace(noise, ratio=np.ones_like(ratio))
    plain, normal = noise_on_runs(runs, value, noise)
    labels, n = label_runs(runs)
    kept = regions_to_keep(runs, labels, n, value / normal, threshold)
    high = value > np.float32(settings.candidate) * plain
    high &= np.repeat(kept[labels], runs.stop - runs.start)
    at = list_voxels(runs)
    of_voxel = ratio.ravel()[at % ratio.size]
    at += first * ratio.size
    arrays = at[high], value[high], normal[high], single[high], of_voxel[high]
    return dict(zip(_DECOY, arrays, strict=True))


def find_decoys(
    checkpoint: Checkpoint,
    blocks: list[Block],
    shape: tuple[int, int, int],
    settings: CalibratedSettings,
    threshold: float,
    pool: Executor | None,
) -> list[DividedEvent]:
    """Return the decoys among the low voxels that the blocks of a recording keep.

    Blocks of wide frames, which are searched in tiles, keep none.
    """
    parts = [
        checkpoint.load(DECOY_STEP, k)
        for k in range(len(blocks))
        if checkpoint.has(DECOY_STEP, k)
    ]
    if not parts:
        return []
    *columns, ratio = (np.concatenate([p[name] for p in parts]) for name in _DECOY)
    voxels = Voxels(*columns)
    if not len(voxels.at) or (voxels.value / voxels.noise).max() < threshold:
        return []
    found = find_events([voxels], shape, settings, threshold, pool)
    frames = min(shape[0], settings.stretch)
    judged = (_without_itself(event, voxels, ratio, shape, frames) for event in found)
    return [event for event in judged if event.height >= threshold]


def _without_itself(
    event: DividedEvent,
    voxels: Voxels,
    ratio: NDArray[np.float32],
    shape: tuple[int, int, int],
    frames: int,
) -> DividedEvent:
    """Return a decoy with its height over fluctuations that it is not part of.

    ``ratio`` is that of each voxel, and ``frames`` those that it was measured in.
    """
    size = shape[1] * shape[2]
    peak = int(event.parts[0, 0])
    at = event.layers.voxels
    place = np.searchsorted(voxels.at, at[at % size == peak % size])
    place = np.minimum(place, len(voxels.at) - 1)
    z = voxels.value[place] / voxels.noise[place]
    known = float(ratio[np.searchsorted(voxels.at, peak)]) ** 2
    others = max(1.0, known - 2 * float((z**2).sum()) / frames)
    return replace(event, height=event.height / np.sqrt(others))


def write_decoys(
    folder: Path, decoys: list[DividedEvent], shape: tuple[int, int, int]
) -> None:
    """Store the table of decoys: frame, row, column and height of their peaks, size."""
    peak = np.array([event.parts[0, 0] for event in decoys], np.int64)
    z, x, y = np.unravel_index(peak, shape)
    sizes = [size_of(event, shape) for event in decoys]
    voxels, pixels, frames = np.array(sizes, np.int64).reshape(-1, 3).T
    pd.DataFrame(
        {
            "z": z,
            "x": x,
            "y": y,
            "height": [event.height for event in decoys],
            "voxels": voxels,
            "pixels": pixels,
            "frames": frames,
        }
    ).to_parquet(folder / DECOYS, index=False)


def finish_decoys(folder: Path, first_frame: int) -> None:
    """Count the frames of decoys from the start of the recording.

    Parameters
    ----------
    folder
        The event store.
    first_frame
        Frame of the recording that was frame 0 of the detection.
    """
    if first_frame:
        table = pd.read_parquet(folder / DECOYS)
        table.assign(z=table["z"] + first_frame).to_parquet(
            folder / DECOYS, index=False
        )


def size_of(event: DividedEvent, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the number of voxels, pixels and frames of an event."""
    at, size = event.layers.voxels, shape[1] * shape[2]
    frames = int(at[-1] // size - at[0] // size) + 1
    return len(at), len(unique_values(at % size)), frames
