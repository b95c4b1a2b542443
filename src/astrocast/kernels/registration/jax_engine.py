"""Registration as one compiled JAX function for a GPU.

The same steps as in `rigid` and `piecewise`.

Shifts agree with those of the CPU to 1e-3 pixels. JAX is imported when a function is
built.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import MissingExtraError
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
    judged,
    rigid_part,
)
from astrocast.kernels.registration.illumination import block_size
from astrocast.kernels.registration.piecewise import (
    NEIGHBOURS,
    PiecewiseModel,
    warp_view,
)
from astrocast.kernels.registration.preprocess import view_frames
from astrocast.kernels.registration.rigid import RigidModel
from astrocast.kernels.registration.warp import shift_frames

#: frames per call: a compiled function has one shape, the last call is filled up
JAX_BATCH = 32


def has_gpu() -> bool:
    """Return whether JAX is installed and sees a GPU."""
    # every GPU of JAX comes as a plug-in; looking for one costs nothing, importing JAX
    # costs a second and 150 MB
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
    """`correlation.peaks` of maps (..., row, column)."""
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
    """`correlation.correlation_maps` of spectra (..., row, column)."""
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
    """`rigid.view_shifts` in pixels of the view, not yet limited."""
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
    moved = _displaced(seen, whole)
    rest = _either(
        _uneven(moved, whole, model),
        lambda: _fine_shifts(moved, model.fine),
        None if model.finer is None else lambda: _fine_shifts(moved, model.finer.fine),  # type: ignore[union-attr]
    )
    limit = np.array(model.limit) / model.view.factor
    return jnp.clip(whole + rest, -limit, limit)


def _fine_shifts(moved: Any, fine: Correlator) -> Any:
    """`rigid._fine_shifts`."""
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


def _uneven(moved: Any, whole: Any, model: RigidModel) -> Any:
    """`rigid.is_uneven` of frames that are moved already."""
    jnp = _jax().numpy
    n, h, w = moved.shape
    if model.finer is None:
        return jnp.zeros(n, bool)
    size, light = block_size((h, w)), model.finer.light
    rows, columns = light.shape
    cut = moved[:, : rows * size, : columns * size]
    means = cut.reshape(n, rows, size, columns, size).mean((2, 4))

    def inside(count: int, length: int, by: Any) -> Any:
        first = np.arange(count) * size + by[:, None]
        return (first >= 0) & (first + size <= length)

    use = (
        inside(rows, h, whole[:, 0])[:, :, None]
        & inside(columns, w, whole[:, 1])[:, None]
    )
    number = jnp.maximum(use.sum((1, 2), keepdims=True), 1)

    def centred(values: Any) -> Any:
        return jnp.where(
            use,
            values - jnp.where(use, values, 0).sum((1, 2), keepdims=True) / number,
            0,
        )

    found, wanted = centred(means), centred(light)
    power = (wanted**2).sum((1, 2), keepdims=True)
    gain = jnp.where(
        power > 0,
        (found * wanted).sum((1, 2), keepdims=True) / jnp.where(power > 0, power, 1),
        0,
    )
    return jnp.abs(found - gain * wanted).max((1, 2)) > model.finer.least


def _either(
    uneven: Any, even: Callable[[], Any], other: Callable[[], Any] | None
) -> Any:
    """Return the result of ``even``, and of ``other`` for uneven frames.

    ``other`` runs only where there are uneven frames.
    """
    found = even()
    if other is None:
        return found
    jax = _jax()
    second = jax.lax.cond(uneven.any(), other, lambda: found)
    return jax.numpy.where(uneven.reshape(-1, *(1,) * (found.ndim - 1)), second, found)


def _displaced(seen: Any, shifts: Any) -> Any:
    jnp = _jax().numpy
    _, h, w = seen.shape
    rows = jnp.clip(jnp.arange(h) + shifts[:, :1], 0, h - 1)
    columns = jnp.clip(jnp.arange(w) + shifts[:, 1:], 0, w - 1)
    return jnp.take_along_axis(
        jnp.take_along_axis(seen, rows[:, :, None], 1), columns[:, None, :], 2
    )


def _smoothed(maps: Any, axis: int) -> Any:
    """`piecewise.smoothed`, once."""
    jnp = _jax().numpy
    side, middle = NEIGHBOURS
    n = maps.shape[axis]
    before = jnp.take(maps, np.maximum(np.arange(n) - 1, 0), axis=axis)
    after = jnp.take(maps, np.minimum(np.arange(n) + 1, n - 1), axis=axis)
    return middle * maps + side * (before + after)


def _patch_maps(seen: Any, shifts: Any, model: PiecewiseModel) -> tuple[Any, Any]:
    """Return the maps of patches, centred on the rigid shift, and their bias.

    Shape (frame, patch row, patch column, lag, lag).
    """
    jnp = _jax().numpy
    grid, finer = model.grid, model.finer
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

    def compared(correlator: Correlator) -> Any:
        return _maps(_cross(cut, correlator) * ramps, correlator).reshape(
            n, *grid.shape, *correlator.lags
        )

    uneven = _uneven(_displaced(seen, whole), whole, model.rigid)
    other = None if finer is None else lambda: compared(finer.correlator)
    maps = _either(uneven, lambda: compared(model.patches.correlator), other)
    bias = model.patches.bias if finer is None else finer.bias
    return maps, jnp.where(uneven[:, None, None, None], bias, model.patches.bias)


class Held:
    """A model as a key: the same object compiles once."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and other.model is self.model


@lru_cache(maxsize=4)
def _compiled(key: Held) -> Any:
    """Return the compiled function (views, number of real frames) -> shifts, lags.

    Shifts in pixels of the view, and lags of the patches.
    """
    jax, model = _jax(), key.model
    jnp = jax.numpy
    rigid = rigid_part(model)

    def run(seen: Any, last: Any) -> tuple[Any, Any]:
        shifts = _rigid(seen, rigid)
        if isinstance(model, RigidModel):
            return shifts, jnp.zeros((len(seen), 2, 0, 0))
        maps, bias = _patch_maps(seen, shifts, model)
        for _ in range(model.halo):
            # what fills the batch up stands for the last frame, as beyond the end of a
            # recording
            maps = _smoothed(
                jnp.take(maps, jnp.minimum(jnp.arange(len(seen)), last - 1), axis=0), 0
            )
        return shifts, _peaks(_smoothed(_smoothed(maps, 1), 2)) - bias

    return jax.jit(run)


def estimate(
    frames: NDArray[Any], model: Model, inner: slice = ALL, pool: Executor | None = None
) -> Estimate:
    """Compare a block of frames with the template, see `engine.estimate`.

    ``pool`` is not used.
    """
    first, last, _ = inner.indices(len(frames))
    halo = halo_of(model)
    step = JAX_BATCH - 2 * halo
    parts = []
    for start in range(first, last, step):
        stop = min(start + step, last)
        low, high = max(0, start - halo), min(len(frames), stop + halo)
        parts.append(
            _estimate_batch(frames[low:high], model, slice(start - low, stop - low))
        )
    return Estimate.joined(parts)


def _estimate_batch(frames: NDArray[Any], model: Model, inner: slice) -> Estimate:
    rigid = rigid_part(model)
    factor = rigid.view.factor
    seen = view_frames(frames, rigid.view)
    filled = np.concatenate([seen, np.repeat(seen[-1:], JAX_BATCH - len(seen), axis=0)])
    found, rest = (
        np.asarray(r, np.float64) for r in _compiled(Held(model))(filled, len(seen))
    )
    shifts = np.clip(
        found[: len(seen)][inner] * factor, np.negative(rigid.limit), rigid.limit
    )
    if isinstance(model, RigidModel):
        fields = np.empty((len(shifts), 2, 0, 0), np.float32)
        aligned = shift_frames(seen[inner], shifts / factor)
    else:
        deviation = np.clip(
            rest[: len(seen)][inner] * factor, -model.deviation, model.deviation
        )
        spread = shifts[:, None, None] + deviation
        fields = np.ascontiguousarray(spread.transpose(0, 3, 1, 2), np.float32)
        aligned = warp_view(seen[inner], fields, model.grid, rigid.view)
    return judged(seen[inner], shifts, fields, aligned, rigid)
