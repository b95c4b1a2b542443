"""A network trained on the recording that it denoises."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from astrocast.denoising.architecture import build_model, unet_from_model, weights_of
from astrocast.denoising.backend import import_keras
from astrocast.denoising.callbacks import Schedule
from astrocast.denoising.model_files import read_network
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

#: steps whose mean loss is one entry of the history, and after which the weights are
#: kept
_ROUND = 100
#: a round whose mean loss exceeds this many variances of the recording has diverged,
#: though it is finite; to predict the mean image and nothing else costs about 1
_DIVERGED = 10.0


@dataclass
class Training:
    """What a training gave."""

    unet: UNet
    steps: int
    losses: list[float] = field(default_factory=list)
    diverged: bool = False


@dataclass
class Best:
    """The best weights so far, to return to when a training diverges."""

    weights: Any
    loss: float = math.inf

    def is_left_behind(self, loss: float, model: Any) -> bool:
        """Keep the weights of ``model`` if ``loss`` is the least so far; return whether
        the training has diverged.
        """
        if loss < self.loss:
            self.loss, self.weights = loss, weights_of(model)
        return loss > _DIVERGED


def start_model(
    settings: DenoiserSettings, context: int, frame: tuple[int, int]
) -> tuple[Any, int]:
    """Return the Keras model that training starts from, and what the sides of its
    patches are multiples of.
    """
    unet = (
        None
        if settings.pretrained_weights is None
        else read_network(settings.pretrained_weights).unet
    )
    if unet is not None and unet.context != context:
        raise InvalidConditionError(
            f"the pretrained weights take {unet.context} context frames, "
            f"pre_post_frame gives {context}; they must be equal"
        )
    align = 2 ** ((settings.n_stacks if unet is None else unet.n_stacks) - 1)
    if min(frame) < align:
        raise InvalidConditionError(
            f"frames of {frame} pixels are smaller than {align}; use fewer n_stacks"
        )
    if unet is None:
        return (
            build_model(
                context, settings.n_stacks, settings.kernel, seed=settings.seed
            ),
            align,
        )
    model = build_model(context, unet.n_stacks, unet.filters)
    model.set_weights(unet.arrays())
    return model, align


def train(
    model: Any, pool: TrainingPool, settings: DenoiserSettings, schedule: Schedule
) -> Training:
    """Train until the schedule is over; return the weights.

    The mean squared error is minimised: its minimum is the mean of what the frame can
    be given its neighbours, which is unbiased. Losses that follow the median or the
    mode are biased under the skewed noise of few photons.
    """
    keras = import_keras("training a network")
    model.compile(keras.optimizers.Adam(settings.learning_rate), "mean_squared_error")
    rng = np.random.default_rng(settings.seed)
    best, losses, recent = Best(weights_of(model)), [], []
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
                diverged = best.is_left_behind(losses[-1], model)
                recent = []
            if diverged:
                warnings.warn(
                    f"training diverged after {schedule.done} steps: stopped, the best"
                    " weights are kept; lower the learning_rate, which is"
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
