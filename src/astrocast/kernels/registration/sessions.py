"""One field of view on two days: the affine transform between its mean images.

Between sessions the field is shifted, turned and stretched a little, the light differs,
and other events are in the mean image. Both images are divided by their local contrast,
all angles and shifts are searched at low resolution by normalised cross-correlation
(Padfield 2012, doi:10.1109/TIP.2011.2181402), and the best is refined by weighted least
squares with a gain and an offset (Lucas & Kanade 1981), from coarse to fine.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from astrocast.errors import InvalidValueError

Real = NDArray[np.float64]
Model = Literal["shift", "rigid", "affine"]

#: local contrast: width of the fine filter in pixels, and of the coarse one as a
#: fraction of the shorter side
_FINE, _COARSE = 1.0, 1 / 12
#: the search uses images of at most this side, pixels, and angle steps in degrees
_SEARCH_SIDE, _ANGLE_STEP = 128, 2.0
#: the search considers only shifts with at least this fraction of the field in common
_LEAST_OVERLAP = 0.35
#: width of the blur in each stage of the refinement, pixels
_STAGES = (4.0, 2.0, 0.7)
_MOST_STEPS, _CLOSE = 40, 1e-3
#: residuals beyond this many robust standard deviations have no weight (Tukey)
_OUTLIER = 4.0
#: tiles along each side in which the remaining displacement is measured
_TILES = 4


class SessionMatch(NamedTuple):
    """The transform from a reference image to another image, and its quality.

    Parameters
    ----------
    matrix
        float64 (2, 3): a point p of the reference (row, column; pixel centres are whole
        numbers) lies at ``matrix[:, :2] @ p + matrix[:, 2]`` in the other image.
    correlation
        Correlation of the local contrast of both images where they overlap.
    elsewhere
        Largest correlation at shifts of more than a tenth of the field.
    chance
        Standard deviation of the correlation of unrelated images with the same
        autocorrelation and overlap (Bartlett 1935).
    residual
        Median displacement that remains in tiles of the field, pixels.
    overlap
        Fraction of the reference that the other image shows.
    """

    matrix: Real
    correlation: float
    elsewhere: float
    chance: float
    residual: float
    overlap: float

    @property
    def reliable(self) -> bool:
        """Whether the match is clearly better than other shifts, in the whole field.

        The correlation exceeds twice the correlation elsewhere and five times chance
        (the best of many shifts and angles was taken); the residual is below 2 pixels.
        """
        return bool(
            self.correlation > max(2 * self.elsewhere, 5 * self.chance)
            and self.residual < 2.0
            and self.overlap >= _LEAST_OVERLAP
        )


def match_sessions(
    reference: NDArray[np.floating],
    other: NDArray[np.floating],
    model: Model = "rigid",
    most_degrees: float = 10.0,
) -> SessionMatch:
    """Return the transform from a reference image to another image.

    Parameters
    ----------
    reference, other
        Mean images, real (row, column), of the same pixel size; shapes may differ. NaN
        marks pixels outside the field.
    model
        ``"shift"``, ``"rigid"`` (shift and angle) or ``"affine"`` (also scale, shear).
    most_degrees
        Largest angle that is searched, in both directions.

    Raises
    ------
    InvalidValueError
        ``model`` is unknown, or an image is not 2-D, has a side below 16 pixels, or is
        constant.

    Notes
    -----
    Not for images of different magnification or depth: no transform fits them, and
    ``reliable`` is false.

    Examples
    --------
    >>> image = ndimage.gaussian_filter(np.random.default_rng(0).random((64, 64)), 2)
    >>> found = match_sessions(image, np.roll(image, 3, axis=0), "shift")
    >>> abs(found.matrix[:, 2]).round(1).tolist(), found.reliable
    ([3.0, 0.0], True)
    """
    if model not in get_args(Model):
        raise InvalidValueError(
            f"model is {model!r}; choose one of {', '.join(get_args(Model))}"
        )
    a, b = _even_contrast(reference), _even_contrast(other)
    matrix = _search(a, b, most_degrees if model != "shift" else 0.0)
    for stage, width in enumerate(_STAGES):
        # scale and shear converge only once the rotation and the shift are about right
        used: Model = "rigid" if model == "affine" and stage == 0 else model
        matrix = _refine(_blur(a, width), _blur(b, width), matrix, used)
    return _judge(a, b, matrix)


def carry_points(points: Real, matrix: Real) -> Real:
    """Return where points (point, 2) of the reference lie in the other image.

    A point is row and column; pixel centres are whole numbers.

    Examples
    --------
    >>> matrix = np.array([[1.0, 0.0, 3.0], [0.0, 1.0, -1.0]])
    >>> carry_points(np.array([[0.0, 5.0]]), matrix).tolist()
    [[3.0, 4.0]]
    """
    return np.asarray(np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2])


def invert_transform(matrix: Real) -> Real:
    """Return the transform (2, 3) from the other image to the reference."""
    back = np.linalg.inv(matrix[:, :2])
    return np.column_stack([back, -back @ matrix[:, 2]])


def warp_image(image: NDArray[Any], matrix: Real, shape: tuple[int, int]) -> Real:
    """Resample the other image on the grid of the reference, float64 of ``shape``.

    Pixels outside the other image are NaN.
    """
    return np.asarray(
        ndimage.affine_transform(
            np.asarray(image, np.float64),
            matrix[:, :2],
            matrix[:, 2],
            output_shape=shape,
            order=1,
            cval=np.nan,
        )
    )


def carry_map(
    pixels: NDArray[np.int64],
    weights: Real,
    shape: tuple[int, int],
    matrix: Real,
    reference: tuple[int, int],
) -> tuple[NDArray[np.int64], Real]:
    """Resample the weight map of a unit of the other image on the reference.

    Parameters
    ----------
    pixels, weights
        Flat indices int64 (n,) into an image of ``shape``, and the weight of each.
    shape, reference
        Rows and columns of the other image and of the reference.
    matrix
        `SessionMatch.matrix`.

    Returns
    -------
    pixels, weights
        Flat indices into the reference and their weights, interpolated bilinearly;
        empty if the map lies outside the reference.
    """
    rows, columns = np.divmod(pixels, shape[1])
    places = carry_points(np.stack([rows, columns], 1), invert_transform(matrix))
    low = np.maximum(np.floor(places.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(places.max(axis=0)).astype(int) + 2, reference)
    if (high <= low).any():
        return np.zeros(0, np.int64), np.zeros(0)
    image = np.zeros(shape)
    image.flat[pixels] = weights
    start = matrix[:, :2] @ low + matrix[:, 2]
    box = (int(high[0] - low[0]), int(high[1] - low[1]))
    found = warp_image(image, np.column_stack([matrix[:, :2], start]), box)
    inside, across = np.nonzero(np.nan_to_num(found) > 0)
    flat = (inside + low[0]) * reference[1] + across + low[1]
    return flat.astype(np.int64), found[inside, across]


def _even_contrast(image: NDArray[np.floating]) -> Real:
    """Remove slow changes of light and contrast from an image; 0 outside the field."""
    values = np.array(image, np.float64)
    if values.ndim != 2 or min(values.shape) < 16:
        raise InvalidValueError(
            "expected a mean image (row, column) of at least 16 x 16 pixels, found the "
            f"shape {values.shape}"
        )
    inside = np.isfinite(values)
    if not inside.any() or not np.ptp(values[inside]) > 0:
        raise InvalidValueError(
            "a mean image is constant or all NaN: there is nothing to match; check "
            "which dataset it was computed from"
        )
    values[~inside] = np.median(values[inside])
    wide = max(6.0, _COARSE * min(values.shape))
    fine = ndimage.gaussian_filter(values, _FINE)
    detail = fine - ndimage.gaussian_filter(fine, wide)
    spread = np.sqrt(ndimage.gaussian_filter(detail**2, wide))
    even = detail / (spread + 0.1 * np.median(spread[inside]) + 1e-300)
    # an event in the mean image counts no more than three standard deviations
    return np.where(inside, np.clip(even, -3.0, 3.0), 0.0)


def _blur(image: Real, width: float) -> Real:
    return np.asarray(ndimage.gaussian_filter(image, width))


def _search(a: Real, b: Real, most_degrees: float) -> Real:
    """Return the best rotation and shift by normalised cross-correlation, (2, 3)."""
    step = max(1, -(-max(*a.shape, *b.shape) // _SEARCH_SIDE))
    small = [_blur(image, max(1.0, step / 2))[::step, ::step] for image in (a, b)]
    angles = np.arange(-most_degrees, most_degrees + 1e-9, _ANGLE_STEP)
    angles = angles if len(angles) else np.zeros(1)
    best = (-np.inf, np.eye(2, 3))
    for angle in sorted(angles, key=abs):
        # rotate b about its centre: output point p shows turn @ p + offset
        turn = _rotation(np.deg2rad(angle))
        middle = (np.array(small[1].shape) - 1) / 2
        offset = middle - turn @ middle
        turned = ndimage.affine_transform(small[1], turn, offset, order=1)
        ones = np.ones(small[1].shape)
        there = ndimage.affine_transform(ones, turn, offset, order=1)
        peak, shift = _best_shift(small[0], turned, there)
        if peak > best[0]:
            best = (peak, np.column_stack([turn, (turn @ shift + offset) * step]))
    return best[1]


def _rotation(angle: float) -> Real:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _best_shift(a: Real, b: Real, there: Real) -> tuple[float, Real]:
    """Return the largest correlation of ``a[p]`` with ``b[p + shift]``, and the shift.

    ``there`` is 1 where ``b`` shows the other image, else 0.
    """
    sides = zip(a.shape, b.shape, strict=True)
    size = [fft.next_fast_len(m + n, real=True) for m, n in sides]

    def correlate(x: Real, y: Real) -> Real:
        product = np.conj(fft.rfft2(x, size)) * fft.rfft2(y, size)
        return np.asarray(fft.irfft2(product, size))

    ones = np.ones(a.shape)
    shared = correlate(ones, there)
    energy = correlate(a**2, there) * correlate(ones, b**2 * there)
    enough = shared >= _LEAST_OVERLAP * min(a.size, b.size)
    score = correlate(a, b * there) / np.sqrt(np.maximum(energy, 1e-12))
    score[~enough] = -np.inf
    place = np.array(np.unravel_index(int(score.argmax()), score.shape))
    # the correlation is circular: indices beyond the image are negative shifts
    shift = np.where(place >= np.array(b.shape), place - size, place)
    return float(score.max()), np.asarray(shift, np.float64)


def _refine(a: Real, b: Real, matrix: Real, model: Model) -> Real:
    """Refine the transform that maps ``b`` onto ``a``, by iterated least squares."""
    centre = (np.array(a.shape) - 1) / 2
    rows, columns = np.indices(a.shape, np.float64)
    away = np.stack([rows.ravel() - centre[0], columns.ravel() - centre[1]])
    gradients = np.gradient(b)
    corner = float(np.hypot(*centre))
    for _ in range(_MOST_STEPS):
        seen, down, right = (
            warp_image(image, matrix, a.shape).ravel() for image in (b, *gradients)
        )
        inside = np.isfinite(seen)
        if inside.sum() < 64:
            return matrix
        basis = _derive_moves(matrix, away[:, inside], model)
        slopes = down[inside] * basis[:, 0] + right[inside] * basis[:, 1]
        change = _solve(a.ravel()[inside], seen[inside], slopes)
        matrix = _change_transform(matrix, centre, change, model)
        largest = np.abs(change[:2]).max()
        if len(change) > 2:
            largest = max(largest, corner * np.abs(change[2:]).max())
        if largest < _CLOSE:
            break
    return matrix


def _derive_moves(matrix: Real, away: Real, model: Model) -> Real:
    """Return how points move with each parameter, (parameter, 2, point).

    ``away`` (2, point): points relative to the centre of the reference.
    """
    ones, zeros = np.ones(away.shape[1]), np.zeros(away.shape[1])
    moves = [(ones, zeros), (zeros, ones)]
    if model == "rigid":
        turned = matrix[:, :2] @ away
        moves.append((-turned[1], turned[0]))
    elif model == "affine":
        moves += [(away[0], zeros), (away[1], zeros), (zeros, away[0])]
        moves.append((zeros, away[1]))
    return np.array(moves)


def _solve(a: Real, seen: Real, slopes: Real) -> Real:
    """Return the change of each parameter; gain and offset are fitted with them.

    ``a`` and ``seen`` (point,): values of both images; ``slopes`` (parameter, point):
    derivative of ``seen`` by each parameter.
    """
    weight = np.ones(len(a))
    change = np.zeros(len(slopes))
    for _ in range(2):
        gain, offset = _fit_line(seen, a, weight)
        design = np.vstack([gain * slopes, seen, np.ones(len(a))])
        left = a - gain * seen - offset
        normal = (design * weight) @ design.T
        normal[np.diag_indices_from(normal)] *= 1 + 1e-9
        solved = np.linalg.lstsq(normal, (design * weight) @ left, rcond=None)[0]
        change = np.asarray(solved[: len(slopes)], np.float64)
        rest = left - solved @ design
        scale = 1.4826 * np.median(np.abs(rest)) + 1e-12
        weight = np.maximum(1 - (rest / (_OUTLIER * scale)) ** 2, 0.0) ** 2
    return change


def _fit_line(x: Real, y: Real, weight: Real) -> tuple[float, float]:
    """Return gain and offset of the weighted regression of ``y`` on ``x`` (point,)."""
    total = weight.sum()
    mx, my = (weight * x).sum() / total, (weight * y).sum() / total
    spread = (weight * (x - mx) ** 2).sum()
    gain = (weight * (x - mx) * (y - my)).sum() / spread if spread > 0 else 0.0
    # a negative gain would move the image away from its match
    gain = max(float(gain), 0.05)
    return gain, float(my - gain * mx)


def _change_transform(matrix: Real, centre: Real, change: Real, model: Model) -> Real:
    """Return the transform after a change of its parameters about the centre."""
    linear = matrix[:, :2]
    place = linear @ centre + matrix[:, 2] + change[:2]
    if model == "rigid":
        linear = _rotation(float(change[2])) @ linear
    elif model == "affine":
        linear = linear + change[2:].reshape(2, 2)
    return np.column_stack([linear, place - linear @ centre])


def _judge(a: Real, b: Real, matrix: Real) -> SessionMatch:
    """Return the transform together with its measures of quality."""
    seen = warp_image(b, matrix, a.shape)
    inside = np.isfinite(seen)
    overlap = float(inside.mean())
    if inside.sum() < 64:
        return SessionMatch(matrix, 0.0, 1.0, 1.0, np.inf, overlap)
    filled = np.where(inside, seen - seen[inside].mean(), 0.0)
    masked = np.where(inside, a - a[inside].mean(), 0.0)
    norm = np.sqrt((filled**2).sum() * (masked**2).sum()) + 1e-300
    first, second = fft.rfft2(masked), fft.rfft2(filled)
    spectrum = np.conj(first) * second
    everywhere = fft.irfft2(spectrum, a.shape) / norm
    correlation = float(everywhere[0, 0])
    rows, columns = (
        np.minimum(np.arange(n), n - np.arange(n)) > n / 10 for n in a.shape
    )
    elsewhere = float(everywhere[rows[:, None] | columns].max())
    power = (
        fft.irfft2(np.abs(first) ** 2, a.shape),
        fft.irfft2(np.abs(second) ** 2, a.shape),
    )
    # pixels that vary together: the number of independent ones is smaller by this
    size = (power[0] * power[1]).sum() / (power[0][0, 0] * power[1][0, 0] + 1e-300)
    chance = float(np.sqrt(max(size, 1.0) / inside.sum()))
    filled = _blur(np.where(inside, seen, 0.0), 1.0)
    residual = _measure_residual(_blur(a, 1.0), filled, inside)
    return SessionMatch(matrix, correlation, elsewhere, chance, residual, overlap)


def _measure_residual(a: Real, seen: Real, inside: NDArray[np.bool_]) -> float:
    """Return the median displacement that remains in tiles of the field, pixels."""
    inside = np.asarray(ndimage.binary_erosion(inside, iterations=3))
    slopes = np.gradient(seen)
    found = []
    for rows in np.array_split(np.arange(a.shape[0]), _TILES):
        for columns in np.array_split(np.arange(a.shape[1]), _TILES):
            tile = np.ix_(rows, columns)
            used = inside[tile].ravel()
            if used.sum() < max(30, used.size // 2):
                continue
            parts = [image[tile].ravel()[used] for image in (a, seen, *slopes)]
            found.append(np.hypot(*_solve(parts[0], parts[1], np.array(parts[2:]))))
    return float(np.median(found)) if found else np.inf
