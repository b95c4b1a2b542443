"""Loss functions for any Keras backend."""

from __future__ import annotations

from typing import Any

from astrocast.denoising.backend import import_keras
from astrocast.errors import InvalidValueError


def annealed_loss(y_true: Any, y_pred: Any) -> Any:
    """Return the mean of the square root of the absolute error, a tensor.

    Rare large errors have less weight than in a mean squared error. The loss is biased
    if the noise is skewed (few photons); the mean squared error is not.
    """
    ops = import_keras("a loss").ops
    difference = ops.abs(ops.cast(y_true, "float32") - ops.cast(y_pred, "float32"))
    return ops.mean(ops.sqrt(difference + 1e-8))


def mean_squareroot_error(y_true: Any, y_pred: Any) -> Any:
    """Return the root of the mean squared error, a tensor of the backend."""
    ops = import_keras("a loss").ops
    difference = ops.cast(y_true, "float32") - ops.cast(y_pred, "float32")
    return ops.sqrt(ops.mean(ops.square(difference)) + 1e-8)


NAMED = {"annealed_loss": annealed_loss, "mean_squareroot_error": mean_squareroot_error}


def find_loss(loss: Any) -> Any:
    """Return the loss with a given name; a function or object is returned unchanged."""
    if not isinstance(loss, str):
        return loss
    if loss in NAMED:
        return NAMED[loss]
    try:
        return import_keras("a loss").losses.get(loss)
    except ValueError as error:
        raise InvalidValueError(
            f"loss is {loss!r}; choose one of {', '.join(NAMED)}, a loss of Keras, or a"
            " function of (true, predicted)"
        ) from error
