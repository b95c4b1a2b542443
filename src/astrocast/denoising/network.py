"""Train a U-Net on the batches of a generator."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from astrocast.denoising.architecture import (
    build_model,
    model_from_unet,
    unet_from_model,
)
from astrocast.denoising.backend import import_keras, on_device
from astrocast.denoising.callbacks import BestWeights
from astrocast.denoising.generator import SubFrameGenerator
from astrocast.denoising.losses import annealed_loss, find_loss, mean_squareroot_error
from astrocast.denoising.model_files import read_pretrained, write_network
from astrocast.errors import (
    InvalidConditionError,
    InvalidTypeError,
    InvalidValueError,
    OutputError,
)
from astrocast.kernels.denoising.scaling import Scaling
from astrocast.runtime.provenance import describe_input, record
from astrocast.settings.denoising import (
    NetworkSettings,
    RetrainingSettings,
    TrainingSettings,
)

logger = logging.getLogger("astrocast.denoising")


class Network:
    """A U-Net that learns to predict frames from their neighbours.

    Parameters
    ----------
    train_generator
        Training data.
    val_generator
        Validation data; without it the training loss decides which weights are best.
    learning_rate
        Initial step size of Adam.
    decay_rate
        The step size is multiplied by this factor after every ``decay_steps`` steps.
    decay_steps
        Steps (not epochs) between two reductions of the step size.
    n_stacks
        Number of resolutions of the U-Net.
    kernel
        Number of filters of the first convolution, doubled at each resolution.
    batchNormalize
        Batch normalisation between convolution and ReLU.
    loss
        ``annealed_loss``, ``mean_squareroot_error``, a name or object of Keras, or a
        function of (true, predicted).
    pretrained_weights
        Model file or folder to start from; its architecture replaces ``n_stacks`` and
        ``kernel``. See `read_network` for the formats.
    use_cpu
        Train on the CPU even if there is a GPU.
    seed
        Seed of the initial weights.

    Attributes
    ----------
    model
        The Keras model. It takes frames of any size that is a multiple of
        ``2 ** (n_stacks - 1)``.

    Raises
    ------
    InvalidConditionError
        The size of the patches does not fit the number of resolutions, or the
        pretrained weights need another number of context frames.
    RecordingNotFoundError
        The path ``pretrained_weights`` does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from astrocast.denoising import Network, SubFrameGenerator
    >>> movie = np.random.default_rng(0).normal(100, 5, (40, 32, 32)).astype("float32")
    >>> batches = SubFrameGenerator(
    ...     movie, batch_size=4, input_size=(16, 16), normalize="global"
    ... )
    >>> network = Network(batches, n_stacks=1, kernel=4)
    >>> len(network.run(num_epochs=1, verbose=0).history["loss"])
    1
    """

    def __init__(
        self,
        train_generator: SubFrameGenerator,
        val_generator: SubFrameGenerator | None = None,
        learning_rate: float = 0.001,
        decay_rate: float = 0.99,
        decay_steps: int = 250,
        n_stacks: int = 3,
        kernel: int = 64,
        batchNormalize: bool = False,  # noqa: N803 - name of the contract
        loss: Any = "annealed_loss",
        pretrained_weights: str | Path | None = None,
        use_cpu: bool = False,
        *,
        seed: int = 0,
    ) -> None:
        self.settings: NetworkSettings = NetworkSettings.checked(
            learning_rate=learning_rate,
            decay_rate=decay_rate,
            decay_steps=decay_steps,
            n_stacks=n_stacks,
            kernel=kernel,
            batchNormalize=batchNormalize,
            loss=loss,
            pretrained_weights=pretrained_weights,
            use_cpu=use_cpu,
            seed=seed,
        )
        for generator in (train_generator, val_generator):
            if generator is not None and not isinstance(generator, SubFrameGenerator):
                raise InvalidTypeError(
                    "a generator must be a SubFrameGenerator, found"
                    f" {type(generator).__name__}"
                )
        self.train_generator, self.val_generator = train_generator, val_generator
        with on_device(use_cpu):
            self.model = self._build()
        self._check_sizes()
        self._compile()

    def __repr__(self) -> str:
        """Return the size of the network, and whether it has training data."""
        rows, columns, frames = self.model.input_shape[1:]
        size = "frames of any size" if rows is None else f"{rows} x {columns} pixels"
        data = "no training data" if self.train_generator is None else "training data"
        return (
            f"<Network: {frames} context frames, {size},"
            f" {self.model.count_params():,} weights, {data}>"
        )

    @staticmethod
    def annealed_loss(y_true: Any, y_pred: Any) -> Any:
        """Return the mean of the square root of the absolute error.

        Takes tensors and arrays; returns a tensor of the Keras backend.
        """
        return annealed_loss(y_true, y_pred)

    @staticmethod
    def mean_squareroot_error(y_true: Any, y_pred: Any) -> Any:
        """Return the root of the mean squared error.

        Takes tensors and arrays; returns a tensor of the Keras backend.
        """
        return mean_squareroot_error(y_true, y_pred)

    def run(
        self,
        batch_size: int = 10,
        num_epochs: int = 25,
        save_model: str | Path | None = None,
        patience: int = 3,
        min_delta: float = 0.005,
        monitor: str = "val_loss",
        model_prefix: str = "model",
        verbose: int = 1,
    ) -> Any:
        """Train the network; afterwards it has the weights of the best epoch.

        Parameters
        ----------
        batch_size
            Items per gradient update. The items of the training generator are regrouped
            if its own batch size differs.
        num_epochs
            Maximum number of epochs.
        save_model
            Folder for ``<model_prefix>.weights.h5`` and ``<model_prefix>.json``
            (architecture, normalisation, provenance), written after each epoch that is
            the best so far.
        patience
            Epochs without improvement after which training stops, counted as in
            `keras.callbacks.EarlyStopping`.
        min_delta
            Smallest change of ``monitor`` that counts as an improvement.
        monitor
            Metric to monitor: ``val_loss`` or ``loss``. Without a validation generator
            ``val_loss`` means ``loss``.
        model_prefix
            First part of the file names.
        verbose
            0 silent, 1 progress bar, 2 one line per epoch.

        Returns
        -------
        keras.callbacks.History
            Loss of each epoch. If training diverges, it is stopped and the network gets
            the best weights so far.

        Raises
        ------
        InvalidValueError
            ``monitor`` is not a metric of the model; the message lists the metrics.
        """
        settings = TrainingSettings.checked(
            batch_size=batch_size,
            num_epochs=num_epochs,
            save_model=save_model,
            patience=patience,
            min_delta=min_delta,
            monitor=monitor,
            model_prefix=model_prefix,
            verbose=verbose,
        )
        return self._fit(settings, settings.num_epochs)

    def retrain_model(
        self,
        frozen_epochs: int = 25,
        unfrozen_epochs: int = 5,
        batch_size: int = 10,
        patience: int = 3,
        min_delta: float = 0.005,
        monitor: str = "val_loss",
        save_model: str | Path | None = None,
        model_prefix: str = "retrain",
        verbose: int = 1,
    ) -> Any:
        """Adapt a trained network to new data: the output layer first, then all layers.

        Parameters
        ----------
        frozen_epochs
            Epochs in which only the output layer is trained.
        unfrozen_epochs
            Epochs after that, in which all layers are trained.
        batch_size, patience, min_delta, monitor, save_model, model_prefix, verbose
            As for `run`.

        Returns
        -------
        keras.callbacks.History
            Loss of each epoch, frozen epochs first.
        """
        settings = RetrainingSettings.checked(
            frozen_epochs=frozen_epochs,
            unfrozen_epochs=unfrozen_epochs,
            num_epochs=frozen_epochs + unfrozen_epochs,
            batch_size=batch_size,
            patience=patience,
            min_delta=min_delta,
            monitor=monitor,
            save_model=save_model,
            model_prefix=model_prefix,
            verbose=verbose,
        )
        history: Any = None
        for epochs, trainable in (
            (settings.frozen_epochs, False),
            (settings.unfrozen_epochs, True),
        ):
            for layer in self.model.layers[:-1]:
                layer.trainable = trainable
            self._compile()  # Keras reads `trainable` when a model is compiled
            if epochs:
                history = _join_histories(history, self._fit(settings, epochs))
        return history

    def _build(self) -> Any:
        """Return a new Keras model, or one with the pretrained weights."""
        settings, window = self.settings, self.train_generator.window
        if settings.pretrained_weights is not None:
            return model_from_unet(read_pretrained(settings.pretrained_weights, window))
        return build_model(
            window.channels,
            settings.n_stacks,
            settings.kernel,
            settings.batchNormalize,
            settings.seed,
        )

    def _check_sizes(self) -> None:
        """Raise an error if patches and context do not fit the network."""
        align = 2 ** sum(
            type(layer).__name__ == "MaxPooling2D" for layer in self.model.layers
        )
        for generator in (self.train_generator, self.val_generator):
            if generator is None:
                continue
            settings = generator.settings
            if generator.window.channels != self.train_generator.window.channels:
                raise InvalidConditionError(
                    "the training generator gives"
                    f" {self.train_generator.window.channels} context frames, but the"
                    f" validation generator gives {generator.window.channels}; they"
                    " must be equal"
                )
            if any(side % align for side in settings.input_size):
                raise InvalidConditionError(
                    f"input_size {settings.input_size} must be a multiple of {align}"
                    " for this number of stacks"
                )
            if settings.output_size not in (None, settings.input_size):
                raise InvalidConditionError(
                    f"output_size {settings.output_size} differs from input_size"
                    f" {settings.input_size}; for training they must be equal"
                )

    def _compile(self) -> None:
        keras = import_keras("training a network")
        rate = keras.optimizers.schedules.ExponentialDecay(
            self.settings.learning_rate,
            self.settings.decay_steps,
            self.settings.decay_rate,
            staircase=True,
        )
        self.model.compile(
            optimizer=keras.optimizers.Adam(rate), loss=find_loss(self.settings.loss)
        )

    def _choose_monitor(self, monitor: str) -> str:
        """Return the metric to monitor; an error lists the metrics of the model."""
        # the model is compiled with a loss and no further metrics
        metrics = ["loss", "val_loss"]
        if monitor not in metrics:
            raise InvalidValueError(
                f"monitor is {monitor!r}, which is not a metric of this model; choose"
                f" {' or '.join(metrics)}"
            )
        if self.val_generator is None and monitor == "val_loss":
            logger.info("no validation generator: loss is monitored, not val_loss")
            return "loss"
        return monitor

    def _fit(self, settings: TrainingSettings, epochs: int) -> Any:
        """Train for some epochs and return the history of Keras."""
        monitor = self._choose_monitor(settings.monitor)
        save = (
            self._make_saver(Path(settings.save_model), settings)
            if settings.save_model is not None
            else None
        )
        watch = BestWeights(
            self.model, monitor, save, settings.patience, settings.min_delta
        )
        with on_device(self.settings.use_cpu):
            return self.model.fit(
                self.train_generator.regroup(settings.batch_size),
                validation_data=self.val_generator,
                epochs=epochs,
                callbacks=[watch.callback()],
                verbose=settings.verbose,
                shuffle=False,  # the generator shuffles with its own seed
            )

    def _make_saver(self, folder: Path, settings: TrainingSettings) -> Any:
        """Return the function that `BestWeights` calls to save the model."""
        if folder.exists() and not folder.is_dir():
            raise OutputError(
                f"save_model must be a folder, but {folder} is a file; choose another"
            )
        scaling = self.train_generator.scalings[0]
        made_from = {
            "normalisation": {
                "kind": self.train_generator.settings.normalize,
                "mean": scaling.offset if isinstance(scaling, Scaling) else None,
                "std": scaling.scale if isinstance(scaling, Scaling) else None,
            },
            "provenance": record(
                {
                    "generator": self.train_generator.settings.model_dump(),
                    "network": self.settings.model_dump(),
                    "training": settings.model_dump(),
                },
                {
                    "recordings": [
                        describe_input(r) for r in self.train_generator.recordings
                    ]
                },
            ),
        }

        def save(model: Any, epoch: int, value: float) -> None:
            unet = unet_from_model(model)
            assert unet is not None
            write_network(
                folder,
                settings.model_prefix,
                unet,
                {**made_from, "keras": model.to_json(), "epoch": epoch, "best": value},
            )

        return save


def _join_histories(first: Any, second: Any) -> Any:
    """Return one history of two trainings; ``first`` may be None."""
    if first is None:
        return second
    for key, values in second.history.items():
        first.history[key] = first.history.get(key, []) + values
    first.epoch = list(range(len(first.epoch) + len(second.epoch)))
    return first
