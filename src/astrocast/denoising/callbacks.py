"""Callbacks of a training: store the best weights, stop early, lower the step size."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from astrocast.denoising.architecture import weights_of
from astrocast.denoising.backend import import_keras

logger = logging.getLogger("astrocast.denoising")


class BestWeights:
    """Store the best weights of a training; stop it early or if it diverges.

    Parameters
    ----------
    model
        The Keras model in training.
    monitor
        Metric of an epoch that should decrease.
    save
        Called with (model, epoch, value) after each epoch that is the best so far; None
        saves nothing.
    patience
        Epochs without improvement after which training stops, counted as in
        `keras.callbacks.EarlyStopping`; 0 and 1 are the same.
    min_delta
        Smallest decrease that counts as an improvement.
    """

    def __init__(
        self,
        model: Any,
        monitor: str,
        save: Callable[[Any, int, float], None] | None,
        patience: int,
        min_delta: float,
    ) -> None:
        self.model, self.monitor, self.save = model, monitor, save
        self.patience, self.min_delta = patience, min_delta
        self.best, self.reference, self.waited, self.diverged = (
            math.inf,
            math.inf,
            0,
            False,
        )
        self.weights = weights_of(model)

    def callback(self) -> Any:
        """Return the Keras callback."""
        return import_keras("training").callbacks.LambdaCallback(
            on_train_batch_end=self._batch_end,
            on_epoch_end=self._epoch_end,
            on_train_end=self._train_end,
        )

    def _batch_end(self, batch: int, logs: Any) -> None:
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            self._stop_diverged()

    def _epoch_end(self, epoch: int, logs: Any) -> None:
        value = float((logs or {}).get(self.monitor, math.nan))
        if self.diverged or not math.isfinite(value):
            self._stop_diverged()
            return
        if value < self.best:
            self.best, self.weights = value, weights_of(self.model)
            if self.save is not None:
                self.save(self.model, epoch, value)
        if value < self.reference - self.min_delta:
            self.reference, self.waited = value, 0
        else:
            self.waited += 1
        # Keras never stops after the first epoch, so 0 is the same as 1
        if self.waited >= max(self.patience, 1):
            logger.info(
                "stopped after epoch %d: %s has not improved for %d",
                epoch + 1,
                self.monitor,
                self.waited,
            )
            self.model.stop_training = True

    def _train_end(self, logs: Any) -> None:
        self.model.set_weights(self.weights)

    def _stop_diverged(self) -> None:
        if not self.diverged:
            logger.warning(
                "training diverged (%s is not finite) and was stopped; the model has"
                " the best weights so far. A smaller learning_rate may help",
                self.monitor,
            )
        self.diverged = True
        self.model.stop_training = True


class Schedule:
    """Step size during training: a short linear rise, then half a cosine to 0.

    The length of the training is a number of steps, or a time. The final decay improves
    the result considerably, so it also takes place on a slow computer.

    Parameters
    ----------
    peak
        Largest step size.
    steps
        Length of the training in steps, or None.
    seconds
        Length of the training in seconds, used if ``steps`` is None.
    clock
        Returns seconds. With `time.process_time` the number of steps does not depend on
        other programs.
    """

    def __init__(
        self,
        peak: float,
        steps: int | None,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.peak, self.steps, self.seconds, self.clock = peak, steps, seconds, clock
        self.begin, self.done = clock(), 0

    @property
    def progress(self) -> float:
        """Completed fraction of the training, 0 to 1."""
        if self.steps is not None:
            return min(1.0, self.done / self.steps)
        return min(1.0, (self.clock() - self.begin) / self.seconds)

    def rate(self) -> float:
        """Return the step size for the next step."""
        return (
            self.peak
            * 0.5
            * (1 + math.cos(math.pi * self.progress))
            * min(1.0, (self.done + 1) / 50)
        )
