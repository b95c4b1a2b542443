"""Parameters of `astrocast.denoising`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator, model_validator

from astrocast.settings.base import Settings, parameter

Pair = int | tuple[int, int]


class GeneratorSettings(Settings):
    """How training items are cut from recordings."""

    batch_size: int = parameter(..., "Items of a batch", unit="items", ge=1)
    input_size: tuple[int, int] = parameter(
        (100, 100), "Size of a patch (row, column)", unit="pixels"
    )
    pre_post_frame: Pair = parameter(
        5,
        "Context frames before and after the target, or one number for both",
        unit="frames",
    )
    gap_frames: Pair = parameter(
        0, "Frames left out next to the target, before and after", unit="frames"
    )
    z_steps: float = parameter(
        0.1, "Share of the frames that are targets in an epoch", gt=0, le=1
    )
    z_select: int | list[int] | None = parameter(
        None, "Only these frames are targets; None takes them all", unit="frames"
    )
    allowed_rotation: list[int] = parameter(
        [0], "Quarter turns that an item may be rotated by", unit="quarter turns"
    )
    allowed_flip: list[int] = parameter(
        [-1], "Axes an item may be flipped along: -1 none, 0 rows, 1 columns"
    )
    random_offset: bool = parameter(
        False, "Shift the grid of patches anew for each epoch; excludes overlap"
    )
    add_noise: bool | float = parameter(
        False,
        "Add Gaussian noise to the context: True is 1, a number its standard deviation",
    )
    drop_frame_probability: float | None = parameter(
        None, "Probability that one context frame of an item is blanked", ge=0, le=1
    )
    max_per_file: int | None = parameter(
        None, "Most items of a file in an epoch", unit="items", ge=1
    )
    overlap: int = parameter(
        0,
        "Pixels by which neighbouring patches overlap; excludes random_offset",
        unit="pixels",
        ge=0,
    )
    padding: Literal["symmetric", "edge"] | None = parameter(
        None,
        "How a frame that is no multiple of the patch is extended; None leaves the"
        " rest out",
    )
    shuffle: bool = parameter(True, "Order of the items anew for each epoch")
    normalize: Literal["local", "global"] | None = parameter(
        None,
        "Mean and standard deviation removed: those of the recording (global) or of"
        " each item's context (local)",
    )
    loc: str = parameter("data/", "Dataset of formats that hold several (HDF5, zarr)")
    output_size: tuple[int, int] | None = parameter(
        None,
        "Size of the target, cut from the middle of the patch; None is the patch",
        unit="pixels",
    )
    cache_results: bool = parameter(
        False, "Keep every batch after it was made; each epoch is then the same"
    )
    in_memory: bool = parameter(False, "Load the recordings when the generator is made")
    save_global_descriptive: bool = parameter(
        True,
        "Store mean and standard deviation as attributes of the HDF5 dataset, so that"
        " they are computed once",
    )
    logging_level: int = parameter(20, "Level of the logger astrocast.denoising")
    seed: int | None = parameter(
        0, "Seed of all that is random; None is different each time"
    )

    @field_validator("input_size", "output_size")
    @classmethod
    def _size(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and min(value) < 1:
            raise ValueError("expected two sizes of at least one pixel")
        return value

    @field_validator("pre_post_frame", "gap_frames")
    @classmethod
    def _pair(cls, value: Pair) -> Pair:
        if min(both(value)) < 0:
            raise ValueError("expected numbers of frames that are not negative")
        return value

    @field_validator("allowed_rotation")
    @classmethod
    def _rotation(cls, value: list[int]) -> list[int]:
        if not value or not set(value) <= {0, 1, 2, 3}:
            raise ValueError("expected some of 0, 1, 2, 3 quarter turns")
        return value

    @field_validator("allowed_flip")
    @classmethod
    def _flip(cls, value: list[int]) -> list[int]:
        if not value or not set(value) <= {-1, 0, 1}:
            raise ValueError("expected some of -1 (none), 0 (rows), 1 (columns)")
        return value

    @model_validator(mode="after")
    def _together(self) -> GeneratorSettings:
        if self.random_offset and self.overlap:
            raise ValueError(
                "random_offset and overlap exclude each other; set one of them"
            )
        if not sum(both(self.pre_post_frame)):
            raise ValueError(
                "pre_post_frame is 0 on both sides: there is no context to predict from"
            )
        if self.overlap >= min(self.input_size):
            raise ValueError(
                f"overlap {self.overlap} is not below the patch {self.input_size}"
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
                f"patches of {self.input_size} pixels are not square: only 0 and 2"
                " quarter turns keep them"
            )
        return self


def both(value: Pair) -> tuple[int, int]:
    """Return (before, after) of a parameter that may be given once for both sides."""
    return (value, value) if isinstance(value, int) else value


class NetworkSettings(Settings):
    """What is trained, and how fast."""

    learning_rate: float = parameter(
        0.001, "Step size of the optimizer (Adam) at the start", gt=0
    )
    decay_rate: float = parameter(
        0.99, "Factor of the step size after every decay_steps", gt=0, le=1
    )
    decay_steps: int = parameter(
        250, "Steps after which the step size decays", unit="steps", ge=1
    )
    n_stacks: int = parameter(3, "Resolutions of the U-Net", ge=1, le=6)
    kernel: int = parameter(
        64, "Filters of the first convolution, doubled at each resolution", ge=1
    )
    batchNormalize: bool = parameter(  # noqa: N815 - the contract's spelling
        False, "Normalise the batch after each convolution"
    )
    loss: Any = parameter(
        "annealed_loss",
        "'annealed_loss', 'mean_squareroot_error', or any loss that Keras takes",
    )
    pretrained_weights: str | Path | None = parameter(
        None, "Model file or folder to start from"
    )
    use_cpu: bool = parameter(False, "Train on the CPU though there is a GPU")
    seed: int = parameter(0, "Seed of the weights at the start")

    @field_validator("loss")
    @classmethod
    def _loss(cls, value: Any) -> Any:
        if isinstance(value, str) or callable(value):
            return value
        raise ValueError(
            "expected the name of a loss or a function of (true, predicted)"
        )


class TrainingSettings(Settings):
    """How long it is trained, and what is kept."""

    batch_size: int = parameter(
        10,
        "Kept for older scripts: the batches are those of the generator",
        unit="items",
        ge=1,
    )
    num_epochs: int = parameter(25, "Most epochs", unit="epochs", ge=1)
    save_model: str | Path | None = parameter(
        None, "Folder for the best weights, the architecture and the record"
    )
    patience: int = parameter(
        3, "Epochs without improvement before it stops", unit="epochs", ge=0
    )
    min_delta: float = parameter(
        0.005, "Least change of the monitored quantity that is an improvement", ge=0
    )
    monitor: str = parameter(
        "val_loss", "Quantity watched; 'loss' when there is nothing to validate with"
    )
    model_prefix: str = parameter("model", "Start of the names of the files")
    verbose: int = parameter(
        1, "0 silent, 1 a bar, 2 a line for each epoch", ge=0, le=2
    )


class RetrainingSettings(TrainingSettings):
    """How a trained network is adapted: first its last layers, then all."""

    num_epochs: int = parameter(
        30, "frozen and unfrozen epochs together", unit="epochs", ge=0
    )
    frozen_epochs: int = parameter(
        25, "Epochs in which only the output layer learns", unit="epochs", ge=0
    )
    unfrozen_epochs: int = parameter(
        5, "Epochs in which all layers learn", unit="epochs", ge=0
    )
    model_prefix: str = parameter("retrain", "Start of the names of the files")


class DenoiserSettings(Settings):
    """How one recording is denoised."""

    method: Literal["train", "svd"] = parameter(
        "train",
        "'train' a network on the recording itself, or 'svd': patterns of patches, no"
        " training",
    )
    minutes: float = parameter(5.0, "Time for training", unit="minutes", gt=0)
    steps: int | None = parameter(
        None, "Training steps instead of a time: the same result every time", ge=1
    )
    n_stacks: int = parameter(2, "Resolutions of the U-Net", ge=1, le=6)
    kernel: int = parameter(32, "Filters of the first convolution", ge=1)
    pre_post_frame: Pair = parameter(
        5, "Context frames before and after", unit="frames"
    )
    patch_size: int = parameter(64, "Side of a training patch", unit="pixels", ge=4)
    batch_size: int = parameter(8, "Patches of a training step", ge=1)
    learning_rate: float = parameter(
        0.004, "Largest step size of the optimizer (Adam)", gt=0
    )
    pretrained_weights: str | Path | None = parameter(
        None, "Model file or folder to start training from"
    )
    svd_patch: int = parameter(
        16, "Side of a patch whose patterns are found", unit="pixels", ge=2
    )
    svd_bin: int = parameter(
        4, "Frames averaged before patterns are looked for", unit="frames", ge=1
    )
    engine: Literal["auto", "openvino", "jax", "keras"] = parameter(
        "auto", "What evaluates the network"
    )
    assess: bool = parameter(
        True, "Measure the quality on the recording itself after denoising"
    )
    seed: int = parameter(0, "Seed of all that is random")
