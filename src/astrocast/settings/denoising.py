"""Parameters of `astrocast.denoising`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator, model_validator

from astrocast.settings.base import Settings, parameter

Pair = int | tuple[int, int]


class GeneratorSettings(Settings):
    """Parameters of `SubFrameGenerator`: how training items are made."""

    batch_size: int = parameter(..., "Items per batch", unit="items", ge=1)
    input_size: tuple[int, int] = parameter(
        (100, 100), "Size of a patch (row, column)", unit="pixels"
    )
    pre_post_frame: Pair = parameter(
        5,
        "Context frames (before, after) the target, or one number for both",
        unit="frames",
    )
    gap_frames: Pair = parameter(
        0, "Frames left out next to the target, (before, after)", unit="frames"
    )
    z_steps: float = parameter(
        0.1, "Fraction of the frames that are targets in an epoch", gt=0, le=1
    )
    z_select: int | list[int] | tuple[int, int] | None = parameter(
        None,
        "Frames that may be targets: one frame, a list, or a range as a tuple (first,"
        " last + 1); none: all",
        unit="frames",
    )
    allowed_rotation: list[int] = parameter(
        [0],
        "Each item is rotated by one of these numbers of quarter turns",
        unit="quarter turns",
    )
    allowed_flip: list[int] = parameter(
        [-1],
        "Each item is flipped along one of these axes: -1 none, 0 rows, 1 columns",
    )
    random_offset: bool = parameter(
        False,
        "Shift the grid of patches at random in each epoch; not together with overlap",
    )
    add_noise: bool | float = parameter(
        False,
        "Standard deviation of Gaussian noise added to the context; True: 1",
    )
    drop_frame_probability: float | None = parameter(
        None,
        "Probability that one context frame of an item is set to zero",
        ge=0,
        le=1,
    )
    max_per_file: int | None = parameter(
        None, "Maximum number of items per file and epoch", unit="items", ge=1
    )
    overlap: int = parameter(
        0,
        "Pixels by which neighbouring patches overlap; not together with random_offset",
        unit="pixels",
        ge=0,
    )
    padding: Literal["symmetric", "edge"] | None = parameter(
        None,
        "How frames are padded if their size is not a multiple of the patch; none: the"
        " rest of the frame is left out",
    )
    shuffle: bool = parameter(True, "Put the items of each epoch in random order")
    normalize: Literal["local", "global"] | None = parameter(
        None,
        "Subtract the mean and divide by the standard deviation, of the recording"
        " (global) or of each item's context (local)",
    )
    loc: str | None = parameter(
        "data/", "Dataset to read, for formats that contain several (HDF5, zarr)"
    )
    output_size: tuple[int, int] | None = parameter(
        None,
        "Size of the target, cut from the middle of the patch; none: the whole patch",
        unit="pixels",
    )
    cache_results: bool = parameter(
        False, "Store all batches in memory; all epochs are then the same"
    )
    in_memory: bool = parameter(
        False, "Read the recordings into memory when the generator is created"
    )
    save_global_descriptive: bool = parameter(
        True,
        "Store mean and standard deviation as attributes of the HDF5 dataset, so that"
        " they are computed once",
    )
    logging_level: int = parameter(20, "Level of the logger astrocast.denoising")
    seed: int | None = parameter(
        0, "Seed of all random choices; none: a different seed each time"
    )

    @field_validator("input_size", "output_size")
    @classmethod
    def _size(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and min(value) < 1:
            raise ValueError("expected (rows, columns), each at least 1 pixel")
        return value

    @field_validator("pre_post_frame", "gap_frames")
    @classmethod
    def _pair(cls, value: Pair) -> Pair:
        if min(both(value)) < 0:
            raise ValueError("expected a number of frames, 0 or more")
        return value

    @field_validator("allowed_rotation")
    @classmethod
    def _rotation(cls, value: list[int]) -> list[int]:
        if not value or not set(value) <= {0, 1, 2, 3}:
            raise ValueError("expected a list of quarter turns from 0, 1, 2, 3")
        return value

    @field_validator("allowed_flip")
    @classmethod
    def _flip(cls, value: list[int]) -> list[int]:
        if not value or not set(value) <= {-1, 0, 1}:
            raise ValueError(
                "expected a list of axes from -1 (none), 0 (rows), 1 (columns)"
            )
        return value

    @model_validator(mode="after")
    def _together(self) -> GeneratorSettings:
        if self.random_offset and self.overlap:
            raise ValueError(
                "random_offset and overlap exclude each other: set only one of them"
            )
        if not sum(both(self.pre_post_frame)):
            raise ValueError(
                "pre_post_frame is 0 on both sides, but the prediction needs at least"
                " one context frame"
            )
        if self.overlap >= min(self.input_size):
            raise ValueError(
                f"overlap {self.overlap} must be below the patch size {self.input_size}"
            )
        if self.output_size and (
            self.output_size[0] > self.input_size[0]
            or self.output_size[1] > self.input_size[1]
        ):
            raise ValueError(
                f"output_size {self.output_size} is larger than input_size"
                f" {self.input_size}"
            )
        if self.input_size[0] != self.input_size[1] and {1, 3} & set(
            self.allowed_rotation
        ):
            raise ValueError(
                f"patches of {self.input_size} pixels are not square: allowed_rotation"
                " can only contain 0 and 2 quarter turns"
            )
        return self


def both(value: Pair) -> tuple[int, int]:
    """Return (before, after); a single number applies to both sides."""
    return (value, value) if isinstance(value, int) else value


class NetworkSettings(Settings):
    """Parameters of `Network`: architecture, loss and step size."""

    learning_rate: float = parameter(
        0.001, "Initial step size of the optimizer (Adam)", gt=0
    )
    decay_rate: float = parameter(
        0.99, "Factor of the step size after every decay_steps steps", gt=0, le=1
    )
    decay_steps: int = parameter(
        250, "Steps between two reductions of the step size", unit="steps", ge=1
    )
    n_stacks: int = parameter(3, "Number of resolutions of the U-Net", ge=1, le=6)
    kernel: int = parameter(
        64,
        "Number of filters of the first convolution, doubled at each resolution",
        ge=1,
    )
    batchNormalize: bool = parameter(  # noqa: N815 - the contract's spelling
        False, "Batch normalisation after each convolution"
    )
    loss: Any = parameter(
        "annealed_loss",
        "'annealed_loss', 'mean_squareroot_error', or any loss that Keras accepts",
    )
    pretrained_weights: str | Path | None = parameter(
        None, "Model file or folder to start from"
    )
    use_cpu: bool = parameter(False, "Train on the CPU even if there is a GPU")
    seed: int = parameter(0, "Seed of the initial weights")

    @field_validator("loss")
    @classmethod
    def _loss(cls, value: Any) -> Any:
        if isinstance(value, str) or callable(value):
            return value
        raise ValueError(
            "expected the name of a loss, or a function of (true, predicted)"
        )


class TrainingSettings(Settings):
    """Parameters of `Network.run`: length of the training and its outputs."""

    batch_size: int = parameter(10, "Items per gradient update", unit="items", ge=1)
    num_epochs: int = parameter(25, "Maximum number of epochs", unit="epochs", ge=1)
    save_model: str | Path | None = parameter(
        None, "Folder for the best weights, the architecture and the provenance"
    )
    patience: int = parameter(
        3,
        "Epochs without improvement after which training stops, as in Keras",
        unit="epochs",
        ge=0,
    )
    min_delta: float = parameter(
        0.005, "Smallest change of monitor that counts as an improvement", ge=0
    )
    monitor: str = parameter(
        "val_loss", "Metric to monitor; without validation data 'loss'"
    )
    model_prefix: str = parameter("model", "First part of the file names")
    verbose: int = parameter(
        1, "0 silent, 1 progress bar, 2 one line per epoch", ge=0, le=2
    )


class RetrainingSettings(TrainingSettings):
    """Parameters of `Network.retrain_model`: first the output layer, then all."""

    num_epochs: int = parameter(
        30, "Sum of frozen_epochs and unfrozen_epochs", unit="epochs", ge=0
    )
    frozen_epochs: int = parameter(
        25, "Epochs in which only the output layer is trained", unit="epochs", ge=0
    )
    unfrozen_epochs: int = parameter(
        5, "Epochs in which all layers are trained", unit="epochs", ge=0
    )
    model_prefix: str = parameter("retrain", "First part of the file names")


class DenoiserSettings(Settings):
    """Parameters of `Denoiser`, which needs no data but the recording itself."""

    method: Literal["train", "svd"] = parameter(
        "train",
        "'train': train a network on the recording itself; 'svd': keep the main"
        " singular vectors of each patch, without training",
    )
    minutes: float = parameter(5.0, "Time for training", unit="minutes", gt=0)
    steps: int | None = parameter(
        None,
        "Training steps, instead of minutes; makes the result reproducible",
        ge=1,
    )
    n_stacks: int = parameter(2, "Number of resolutions of the U-Net", ge=1, le=6)
    kernel: int = parameter(32, "Number of filters of the first convolution", ge=1)
    pre_post_frame: Pair = parameter(
        5, "Context frames before and after", unit="frames"
    )
    patch_size: int = parameter(64, "Side of a training patch", unit="pixels", ge=4)
    batch_size: int = parameter(8, "Patches per training step", ge=1)
    learning_rate: float = parameter(
        0.004, "Largest step size of the optimizer (Adam)", gt=0
    )
    pretrained_weights: str | Path | None = parameter(
        None, "Model file or folder to start training from"
    )
    svd_patch: int = parameter(16, "Side of a patch of the SVD", unit="pixels", ge=2)
    svd_bin: int = parameter(4, "Frames averaged before the SVD", unit="frames", ge=1)
    engine: Literal["auto", "openvino", "jax", "keras"] = parameter(
        "auto", "Library that evaluates the network; 'auto': the fastest installed"
    )
    assess: bool = parameter(True, "Measure the quality of the result after denoising")
    seed: int = parameter(0, "Seed of all random choices")
