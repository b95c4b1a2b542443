"""What happens between the steps of a training: keep the best, stop when it diverges or
the time is over.
"""

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
    """Watches a training: keeps the best weights, stops early, stops when the loss is
    not finite.

    Parameters
    ----------
    model
        The Keras model that is trained.
    monitor
        Quantity of an epoch that should become small.
    save
        Called with (model, epoch, value) for every best so far, or None.
    patience
        Epochs without improvement by more than ``min_delta`` before it stops.
    min_delta
        Least improvement.
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
        if self.waited > self.patience:
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
                "training diverged (the loss is not finite): stopped, the best weights"
                " so far are kept"
            )
        self.diverged = True
        self.model.stop_training = True


class Schedule:
    """Step size over a training whose length is a time or a number of steps: short
    rise, then half a cosine.

    The final decay is what turns a noisy optimum into a good one, so it has to happen
    whatever the machine: progress is the larger of the shares of steps and of time.

    Parameters
    ----------
    peak
        Largest step size.
    steps
        Number of steps, or None.
    seconds
        Length in seconds, used when ``steps`` is None.
    clock
        Returns seconds; the processor's time makes results independent of what else
        runs.
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
        """Share of the training that is over, 0 to 1."""
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
