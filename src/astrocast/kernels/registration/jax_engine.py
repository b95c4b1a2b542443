"""The correlation of `rigid` and `piecewise` on a GPU, as one compiled JAX function.

The weighted least squares run on the CPU (`engine.refine_estimate`), so both engines
give the same shifts to 1e-3 pixels. JAX is imported only when a function is built.
"""

from __future__ import annotations

from concurrent.futures import Executor
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import MissingExtraError
from astrocast.kernels.jax_device import device_bytes, fit_to_memory
from astrocast.kernels.registration.correlation import (
    FINE_LAGS,
    FINE_STEP,
    Correlator,
    column_weights,
)
from astrocast.kernels.registration.engine import (
    ALL,
    Estimate,
    Model,
    halo_of,
    refine_estimate,
    rigid_part,
)
from astrocast.kernels.registration.piecewise import (
    NEIGHBOURS,
    PiecewiseModel,
    limit_fields,
)
from astrocast.kernels.registration.preprocess import view_frames
from astrocast.kernels.registration.rigid import RigidModel

#: frames per call if the memory of the device is not known; a compiled function has a
#: fixed shape, so the last call is padded
JAX_BATCH = 32
#: fewest and most frames per call if the memory of the device is known, and float32
#: values that a frame needs there per pixel of the view (a safe upper bound)
BATCH_LIMITS, VALUES_PER_PIXEL = (8, 256), 64


def has_gpu() -> bool:
    """Return whether JAX is installed and sees a GPU."""
    # JAX supports GPUs through plug-ins; looking for one is cheap, importing JAX takes
    # a second and 150 MB
    if find_spec("jax") is None or find_spec("jax_plugins") is None:
        return False
    import jax

    return any(device.platform in ("gpu", "cuda", "rocm") for device in jax.devices())


def _jax() -> Any:
    try:
        import jax
    except ImportError as error:
        raise MissingExtraError(
            "jax", "gpu", "the JAX engine of the motion correction"
        ) from error
    return jax


def _peaks(maps: Any) -> Any:
    """Do what `correlation.peaks` does, for maps (..., row, column)."""
    jnp = _jax().numpy
    rows, columns = maps.shape[-2:]
    best = jnp.argmax(maps.reshape(*maps.shape[:-2], -1), axis=-1)
    y, x = (
        jnp.clip(best // columns, 1, rows - 2),
        jnp.clip(best % columns, 1, columns - 2),
    )
    around = jnp.arange(-1, 2)
    flat = maps.reshape(*maps.shape[:-2], -1)
    index = (
        (y[..., None, None] + around[:, None]) * columns + x[..., None, None] + around
    )
    p = jnp.take_along_axis(flat, index.reshape(*index.shape[:-2], 9), axis=-1).reshape(
        index.shape
    )
    centre = p[..., 1, 1]
    p = p - centre[..., None, None]
    gy, gx = (
        (p[..., 2, :] - p[..., 0, :]).sum(-1) / 6,
        (p[..., :, 2] - p[..., :, 0]).sum(-1) / 6,
    )
    hyy = (p[..., 2, :] + p[..., 0, :] - 2 * p[..., 1, :]).sum(-1) / 3
    hxx = (p[..., :, 2] + p[..., :, 0] - 2 * p[..., :, 1]).sum(-1) / 3
    hxy = (p[..., 2, 2] + p[..., 0, 0] - p[..., 0, 2] - p[..., 2, 0]) / 4
    determinant = hyy * hxx - hxy * hxy
    good = determinant > 1e-12 * centre * centre
    safe = jnp.where(good, determinant, 1.0)
    oy = jnp.where(good, -(hxx * gy - hxy * gx) / safe, 0.0)
    ox = jnp.where(good, -(hyy * gx - hxy * gy) / safe, 0.0)
    offset = jnp.clip(jnp.stack([oy, ox], -1), -1, 1)
    return jnp.stack([y - rows // 2, x - columns // 2], -1) + offset


def _maps(spectrum: Any, correlator: Correlator) -> Any:
    """Do what `correlation.correlation_maps` does, for spectra (..., row, column)."""
    jnp = _jax().numpy
    lags = correlator.lags[1]
    interleaved = jnp.stack([spectrum.real, spectrum.imag], -1).reshape(
        *spectrum.shape[:-1], -1
    )
    across = jnp.matmul(interleaved, correlator.column_waves, precision="highest")
    real, imaginary = correlator.row_waves
    return jnp.matmul(real, across[..., :lags], precision="highest") + jnp.matmul(
        imaginary, across[..., lags:], precision="highest"
    )


def _cross(frames: Any, correlator: Correlator) -> Any:
    return _jax().numpy.fft.rfft2(frames) * correlator.spectrum


def _waves(frequencies: NDArray[Any], places: Any) -> Any:
    jnp = _jax().numpy
    return jnp.exp(
        2j * np.pi * places[..., None] * jnp.asarray(frequencies, np.float32)
    )


def _rigid(seen: Any, model: RigidModel) -> Any:
    """Do what `rigid.view_shifts` does; returns pixels of the view, (frame, 2)."""
    jnp = _jax().numpy
    n, h, w = seen.shape
    coarse = (
        seen.reshape(n, h // 2, 2, w // 2, 2).mean((2, 4)) if model.step == 2 else seen
    )
    whole = jnp.rint(
        model.step
        * _peaks(
            _maps(_cross(coarse * model.search_window, model.search), model.search)
        )
    )
    whole = whole.astype(int)
    rest = _fine_peaks(_displace_frames(seen, whole), model.fine) - model.bias
    limit = np.array(model.limit) / model.view.factor
    return jnp.clip(whole + rest, -limit, limit)


def _fine_peaks(moved: Any, fine: Correlator) -> Any:
    """Do what `rigid._fine_peaks` does."""
    jnp = _jax().numpy
    _, h, w = moved.shape
    spectrum = _cross(moved, fine)
    first = _peaks(_maps(spectrum, fine))
    places = first[:, :, None] + jnp.asarray(FINE_LAGS, np.float32)
    rows = _waves(np.fft.fftfreq(h), places[:, 0])
    columns = _waves(np.fft.rfftfreq(w), places[:, 1]) * jnp.asarray(
        column_weights(w), np.float32
    )
    across = jnp.einsum("nly,nyx->nlx", rows, spectrum, precision="highest")
    maps = jnp.einsum("nlx,nmx->nlm", across, columns, precision="highest").real
    return first + FINE_STEP * _peaks(maps)


def _displace_frames(seen: Any, shifts: Any) -> Any:
    jnp = _jax().numpy
    _, h, w = seen.shape
    rows = jnp.clip(jnp.arange(h) + shifts[:, :1], 0, h - 1)
    columns = jnp.clip(jnp.arange(w) + shifts[:, 1:], 0, w - 1)
    return jnp.take_along_axis(
        jnp.take_along_axis(seen, rows[:, :, None], 1), columns[:, None, :], 2
    )


def _smooth_maps(maps: Any, axis: int) -> Any:
    """Do what `piecewise.smooth_maps` does, once."""
    jnp = _jax().numpy
    side, middle = NEIGHBOURS
    n = maps.shape[axis]
    before = jnp.take(maps, np.maximum(np.arange(n) - 1, 0), axis=axis)
    after = jnp.take(maps, np.minimum(np.arange(n) + 1, n - 1), axis=axis)
    return middle * maps + side * (before + after)


def _patch_maps(seen: Any, shifts: Any, model: PiecewiseModel) -> Any:
    """Return the correlation maps of patches, centred on the rigid shift.

    Shape (frame, patch row, patch column, lag, lag).
    """
    jnp = _jax().numpy
    grid, correlator = model.grid, model.patches.correlator
    n, h, w = seen.shape
    whole = jnp.rint(shifts).astype(int)
    y = jnp.clip(
        (grid.rows[:, None] + np.arange(grid.window[0]))[None]
        + whole[:, 0, None, None],
        0,
        h - 1,
    )
    x = jnp.clip(
        (grid.columns[:, None] + np.arange(grid.window[1]))[None]
        + whole[:, 1, None, None],
        0,
        w - 1,
    )
    frame = jnp.arange(n)[:, None, None, None, None]
    cut = seen[frame, y[:, :, None, :, None], x[:, None, :, None, :]]
    cut = (cut - cut.mean((-2, -1), keepdims=True)).reshape(n, -1, *grid.window)
    rest = shifts - whole
    rows = _waves(np.fft.fftfreq(grid.window[0]), rest[:, 0])
    columns = _waves(np.fft.rfftfreq(grid.window[1]), rest[:, 1])
    ramps = (rows[:, :, None] * columns[:, None, :])[:, None]

    return _maps(_cross(cut, correlator) * ramps, correlator).reshape(
        n, *grid.shape, *correlator.lags
    )


class ModelKey:
    """Key of a cache that compares models by identity: each object compiles once."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelKey) and other.model is self.model


@lru_cache(maxsize=4)
def _compile(key: ModelKey) -> Any:
    """Return a compiled function of (views, number of frames that are not padding).

    It returns rigid shifts (frame, 2) and deviations of patches (frame, patch row,
    patch column, 2), both in pixels of the view.
    """
    jax, model = _jax(), key.model
    jnp = jax.numpy
    rigid = rigid_part(model)

    def run(seen: Any, last: Any) -> tuple[Any, Any]:
        shifts = _rigid(seen, rigid)
        if isinstance(model, RigidModel):
            return shifts, jnp.zeros((len(seen), 2, 0, 0))
        maps = _patch_maps(seen, shifts, model)
        for _ in range(model.halo):
            # padding repeats the map of the last frame, as at the end of a recording
            maps = _smooth_maps(
                jnp.take(maps, jnp.minimum(jnp.arange(len(seen)), last - 1), axis=0), 0
            )
        peaks = _peaks(_smooth_maps(_smooth_maps(maps, 1), 2))
        return shifts, peaks - model.patches.bias

    return jax.jit(run)


def estimate(
    frames: NDArray[Any], model: Model, inner: slice = ALL, pool: Executor | None = None
) -> Estimate:
    """Compare a block of frames with the template, see `engine.estimate`.

    ``pool`` is ignored: the signature is that of `engine.estimate`.
    """
    first, last, _ = inner.indices(len(frames))
    halo = halo_of(model)
    batch = frames_per_call(model)
    step = batch - 2 * halo
    parts = []
    for start in range(first, last, step):
        stop = min(start + step, last)
        low, high = max(0, start - halo), min(len(frames), stop + halo)
        parts.append(
            _estimate_batch(
                frames[low:high], model, slice(start - low, stop - low), batch
            )
        )
    return Estimate.join(parts)


def frames_per_call(model: Model) -> int:
    """Return how many frames the device can process at once, from its memory."""
    _jax()
    rows, columns = rigid_part(model).view.shape
    fewest, most = BATCH_LIMITS
    return fit_to_memory(
        device_bytes(),
        4 * VALUES_PER_PIXEL * rows * columns,
        JAX_BATCH,
        (max(fewest, 4 * halo_of(model)), most),
    )


def _estimate_batch(
    frames: NDArray[Any], model: Model, inner: slice, batch: int
) -> Estimate:
    rigid = rigid_part(model)
    factor = rigid.view.factor
    seen = view_frames(frames, rigid.view)
    filled = np.concatenate([seen, np.repeat(seen[-1:], batch - len(seen), axis=0)])
    found, rest = (
        np.asarray(r, np.float64) for r in _compile(ModelKey(model))(filled, len(seen))
    )
    shifts = np.clip(
        found[: len(seen)][inner] * factor, np.negative(rigid.limit), rigid.limit
    )
    fields = None
    if isinstance(model, PiecewiseModel):
        fields = limit_fields(shifts, rest[: len(seen)][inner] * factor, model)
    return refine_estimate(frames[inner], seen[inner], shifts, fields, model)
