"""The definition of detection in a few slow lines of scipy and scikit-image: the oracle
of the fast one.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal
from skimage.filters import threshold_triangle
from skimage.morphology import remove_small_holes, remove_small_objects

Bools = NDArray[np.bool_]


def window(a: NDArray[Any], t: int, depth: int) -> NDArray[Any]:
    """Frames t - depth .. t + depth; frames beyond the ends repeat the end frame."""
    return a[np.clip(np.arange(t - depth, t + depth + 1), 0, len(a) - 1)]


def spatial_mask(smooth: NDArray[np.float32], depth: int, min_ratio: float) -> Bools:
    out = np.zeros(smooth.shape, bool)
    for t, frame in enumerate(smooth):
        active = frame > threshold_triangle(window(smooth, t, depth))
        if active.any() and not active.all():
            inside, outside = (
                frame[active].mean(dtype=float),
                frame[~active].mean(dtype=float),
            )
            if inside > min_ratio * abs(outside):
                out[t] = active
    return out


def temporal_mask(smooth: NDArray[np.float32], **how: Any) -> Bools:
    out = np.zeros(smooth.shape, bool)
    for row, column in np.ndindex(smooth.shape[1:]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy's remarks on peaks of no prominence
            _, p = signal.find_peaks(smooth[:, row, column].astype(float), **how)
        for left, right in zip(p["left_ips"], p["right_ips"], strict=True):
            out[int(left) : int(right), row, column] = True
    return out


def clean(mask: Bools, size: int, depth: int, connectivity: int, what: str) -> Bools:
    out = np.empty_like(mask)
    operation = remove_small_holes if what == "holes" else remove_small_objects
    for t in range(len(mask)):
        out[t] = operation(
            window(mask, t, depth), max_size=size - 1, connectivity=connectivity
        )[depth]
    return out


def detect(
    data: NDArray[np.float32],
    *,
    exclude_border: int = 0,
    threshold: float | None = None,
    use_smoothing: bool = True,
    smooth_radius: int = 2,
    smooth_sigma: float = 2,
    use_spatial: bool = True,
    spatial_min_ratio: float = 1,
    spatial_z_depth: int = 1,
    use_temporal: bool = True,
    temporal_prominence: float = 10,
    temporal_width: int = 3,
    temporal_rel_height: float = 0.9,
    temporal_wlen: int | None = 60,
    temporal_plateau_size: int | None = None,
    comb_type: str = "&",
    fill_holes: bool = True,
    area_threshold: int = 10,
    holes_connectivity: int = 1,
    holes_depth: int = 1,
    remove_objects: bool = True,
    min_size: int = 20,
    object_connectivity: int = 1,
    objects_depth: int = 1,
    fill_holes_first: bool = True,
    adjust_for_noise: bool = False,
) -> NDArray[np.int32]:
    """Return the event map of a recording in memory."""
    if threshold is not None:
        noise = 1.0
        if adjust_for_noise:
            noise = float(
                np.median(
                    np.sqrt(
                        np.median(np.diff(data.astype(float), axis=0) ** 2, axis=0)
                        / 0.9133
                    )
                )
            )
        mask = ndimage.gaussian_filter(data, smooth_sigma) > threshold * np.sqrt(noise)
    else:
        smooth = data
        if use_smoothing:
            smooth = ndimage.gaussian_filter(
                data, smooth_sigma, radius=smooth_radius, mode="nearest"
            )
        masks = []
        if use_spatial:
            masks.append(spatial_mask(smooth, spatial_z_depth, spatial_min_ratio))
        if use_temporal:
            masks.append(
                temporal_mask(
                    smooth,
                    prominence=temporal_prominence,
                    width=temporal_width,
                    rel_height=temporal_rel_height,
                    wlen=temporal_wlen,
                    plateau_size=temporal_plateau_size,
                )
            )
        mask = (
            masks[0]
            if len(masks) == 1
            else (masks[0] & masks[1] if comb_type == "&" else masks[0] | masks[1])
        )
    if exclude_border:
        inner = np.zeros_like(mask)
        b = exclude_border
        inner[:, b:-b, b:-b] = mask[:, b:-b, b:-b]
        mask = inner
    steps = []
    if fill_holes:
        steps.append((area_threshold, holes_depth, holes_connectivity, "holes"))
    if remove_objects:
        steps.append((min_size, objects_depth, object_connectivity, "objects"))
    for step in steps if fill_holes_first else steps[::-1]:
        mask = clean(mask, *step)
    return ndimage.label(mask)[0].astype(np.int32)


def same_partition(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two label volumes are equal up to the numbers of the labels."""
    if not np.array_equal(a > 0, b > 0):
        return False
    pairs = np.unique(np.stack([a[a > 0], b[b > 0]]), axis=1).shape[1]
    return pairs == len(np.unique(a[a > 0])) == len(np.unique(b[b > 0]))
