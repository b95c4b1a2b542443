"""Train a network on the recording that it will denoise."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from astrocast.denoising.architecture import (
    build_model,
    model_from_unet,
    unet_from_model,
    weights_of,
)
from astrocast.denoising.backend import import_keras
from astrocast.denoising.callbacks import Schedule
from astrocast.denoising.items import Window
from astrocast.denoising.model_files import read_pretrained
from astrocast.denoising.training_pool import TrainingPool
from astrocast.errors import (
    AstrocastWarning,
    InvalidConditionError,
    InvalidValueError,
    stack_level,
)
from astrocast.kernels.denoising.unet_layout import UNet
from astrocast.runtime.progress import track
from astrocast.settings.denoising import DenoiserSettings

#: steps per entry of the loss history; after each entry the best weights are stored
_ROUND = 100
#: a mean loss above this (in variances of the recording) means that training diverged;
#: predicting the mean image has a loss of about 1
_DIVERGED = 10.0


@dataclass
class Training:
    """Result of a training: network, number of steps, mean losses, divergence."""

    unet: UNet
    steps: int
    losses: list[float] = field(default_factory=list)
    diverged: bool = False


@dataclass
class BestSoFar:
    """The best weights so far, which are restored if training diverges."""

    weights: Any
    loss: float = math.inf

    def update(self, loss: float, model: Any) -> bool:
        """Store the weights if ``loss`` is the lowest; return whether it diverged."""
        if loss < self.loss:
            self.loss, self.weights = loss, weights_of(model)
        return loss > _DIVERGED


def start_model(
    settings: DenoiserSettings, window: Window, frame: tuple[int, int]
) -> tuple[Any, int]:
    """Return the initial Keras model and the alignment of its patches.

    The sides of patches must be multiples of the alignment.
    """
    unet = (
        None
        if settings.pretrained_weights is None
        else read_pretrained(settings.pretrained_weights, window)
    )
    align = 2 ** ((settings.n_stacks if unet is None else unet.n_stacks) - 1)
    if min(frame) < align:
        raise InvalidConditionError(
            f"frames of {frame} pixels are smaller than {align}; use fewer n_stacks"
        )
    if unet is not None:
        return model_from_unet(unet), align
    model = build_model(
        window.channels, settings.n_stacks, settings.kernel, seed=settings.seed
    )
    return model, align


def train(
    model: Any, pool: TrainingPool, settings: DenoiserSettings, schedule: Schedule
) -> Training:
    """Train until the schedule ends, and return the network.

    The loss is the mean squared error: its minimum is the conditional mean given the
    neighbouring frames, which is unbiased. Losses whose minimum is the median or mode
    are biased if photons are few, because the noise is then skewed.
    """
    keras = import_keras("training a network")
    model.compile(keras.optimizers.Adam(settings.learning_rate), "mean_squared_error")
    rng = np.random.default_rng(settings.seed)
    best, losses, recent = BestSoFar(weights_of(model)), [], []
    diverged = False
    total = settings.steps or math.ceil(schedule.seconds)
    with track("train", total, "steps" if settings.steps else "s") as advance:
        shown = 0
        while schedule.progress < 1:
            model.optimizer.learning_rate = schedule.rate()
            recent.append(
                float(model.train_on_batch(*pool.draw(settings.batch_size, rng)))
            )
            schedule.done += 1
            diverged = not math.isfinite(recent[-1])
            if len(recent) == _ROUND and not diverged:
                losses.append(float(np.mean(recent)))
                diverged = best.update(losses[-1], model)
                recent = []
            if diverged:
                warnings.warn(
                    f"training diverged after {schedule.done} steps and was stopped;"
                    " the best weights so far are used. Lower the learning_rate, now"
                    f" {settings.learning_rate:g}",
                    AstrocastWarning,
                    stacklevel=stack_level(),
                )
                model.set_weights(best.weights)
                break
            now = int(schedule.progress * total)
            advance(now - shown)
            shown = now
    if recent and not diverged:
        losses.append(float(np.mean(recent)))
    unet = unet_from_model(model)
    if unet is None:
        raise InvalidValueError(
            "the network has weights that are not finite; lower the learning_rate"
        )
    return Training(unet, schedule.done, losses, diverged)
