"""Make batches of training items from recordings.

This module imports Keras; it is imported at the first use of `SubFrameGenerator`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.denoising.backend import import_keras
from astrocast.denoising.inference import infer_recording
from astrocast.denoising.items import Item, Window, plan_epoch, read_patches
from astrocast.denoising.sources import global_scaling, open_sources, store_scaling
from astrocast.errors import InvalidConditionError, InvalidValueError
from astrocast.io import Recording
from astrocast.io.memory import ArrayRecording
from astrocast.kernels.denoising.scaling import Scaling
from astrocast.runtime.instance_logger import instance_logger
from astrocast.settings.denoising import GeneratorSettings

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


class SubFrameGenerator(import_keras("training").utils.PyDataset):  # type: ignore[misc] # the base is known at run time
    """Batches of patches and their neighbouring frames, to train a network.

    The network learns to predict a frame from its neighbours, as in DeepInterpolation
    (Lecoq et al. 2021, https://doi.org/10.1038/s41592-021-01285-2). A batch is
    ``(x, y)``, float32: ``x`` (item, row, column, context frame), ``y`` (item, row,
    column, 1), the target frame. Each epoch has new targets in a new order, determined
    by ``seed``. Recordings are read lazily; no frame is read twice for a batch.

    Parameters
    ----------
    paths
        One recording or a list of recordings: paths of any supported format, arrays, or
        open recordings.
    batch_size
        Items per batch; the last batch of an epoch may be smaller.
    input_size
        Size of a patch (row, column) in pixels.
    pre_post_frame
        Number of context frames before and after the target, one number or (before,
        after).
    gap_frames
        Frames next to the target that are left out, one number or (before, after).
    z_steps
        Fraction of the frames that are targets in one epoch: every ``1 / z_steps``-th
        frame, from a random start.
    z_select
        Frames that may be targets: one frame, a list of frames, or a range as a tuple
        (first, last + 1); None: all frames.
    allowed_rotation
        Quarter turns; each item is rotated by one of them at random. ``[0]``: none.
    allowed_flip
        Axes; each item is flipped along one of them at random: -1 none, 0 rows, 1
        columns.
    random_offset
        Shift the grid of patches by a random number of pixels in each epoch. Cannot be
        combined with ``overlap``.
    add_noise
        Add Gaussian noise to the context. Standard deviation in units of the network's
        input; True: 1.
    drop_frame_probability
        Probability that one context frame of an item is set to zero.
    max_per_file
        Maximum number of items per file and epoch.
    overlap
        Pixels by which neighbouring patches overlap.
    padding
        ``symmetric`` or ``edge``: extend frames whose size is not a multiple of the
        patch size. None: leave out the rest of the frame.
    shuffle
        Put the items of an epoch in random order.
    normalize
        ``global``: subtract the mean of the recording and divide by its standard
        deviation; ``local``: the same with mean and standard deviation of each item's
        context. None: the network gets grey values.
    loc
        Dataset, in formats that contain several; None: the only one, or the default of
        the format.
    output_size
        Size of the target (row, column), cut from the middle of the patch.
    cache_results
        Store batches in memory; all epochs are then the same.
    in_memory
        Read the recordings into memory at the start.
    save_global_descriptive
        Store mean and standard deviation as attributes ``global_mean`` and
        ``global_std`` of an HDF5 dataset. This is the only case in which astrocast
        writes to an input file; a file without write permission is not changed.
    logging_level
        Level of the messages of this object, logger ``astrocast.denoising``.
    seed
        Seed of all random choices; None: a different one each time.

    Attributes
    ----------
    batch_size : int
        Items per batch.
    engine : str or None
        Library that evaluated the network in the last `infer`.

    Raises
    ------
    InvalidConditionError
        (a ValueError and an AssertionError) Parameters contradict each other or do not
        fit the recordings; the message lists all problems.
    RecordingNotFoundError
        A path does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from astrocast.denoising import SubFrameGenerator
    >>> movie = np.random.default_rng(0).normal(100, 5, (40, 32, 32)).astype("float32")
    >>> batches = SubFrameGenerator(
    ...     movie, batch_size=4, input_size=(16, 16), normalize="global"
    ... )
    >>> x, y = batches[0]
    >>> x.shape, y.shape
    ((4, 16, 16, 10), (4, 16, 16, 1))
    """

    def __init__(
        self,
        paths: Any,
        batch_size: int,
        input_size: tuple[int, int] = (100, 100),
        pre_post_frame: int | tuple[int, int] = 5,
        gap_frames: int | tuple[int, int] = 0,
        z_steps: float = 0.1,
        z_select: int | list[int] | tuple[int, int] | None = None,
        allowed_rotation: list[int] = [0],  # noqa: B006 - the contract's default; never mutated
        allowed_flip: list[int] = [-1],  # noqa: B006 - the contract's default; never mutated
        random_offset: bool = False,
        add_noise: bool | float = False,
        drop_frame_probability: float | None = None,
        max_per_file: int | None = None,
        overlap: int = 0,
        padding: Literal["symmetric", "edge"] | None = None,
        shuffle: bool = True,
        normalize: Literal["local", "global"] | None = None,
        loc: str | None = "data/",
        output_size: tuple[int, int] | None = None,
        cache_results: bool = False,
        in_memory: bool = False,
        save_global_descriptive: bool = True,
        logging_level: int = logging.INFO,
        *,
        seed: int | None = 0,
    ) -> None:
        try:
            self.settings: GeneratorSettings = GeneratorSettings.checked(
                batch_size=batch_size,
                input_size=input_size,
                pre_post_frame=pre_post_frame,
                gap_frames=gap_frames,
                z_steps=z_steps,
                z_select=z_select,
                allowed_rotation=allowed_rotation,
                allowed_flip=allowed_flip,
                random_offset=random_offset,
                add_noise=add_noise,
                drop_frame_probability=drop_frame_probability,
                max_per_file=max_per_file,
                overlap=overlap,
                padding=padding,
                shuffle=shuffle,
                normalize=normalize,
                loc=loc,
                output_size=output_size,
                cache_results=cache_results,
                in_memory=in_memory,
                save_global_descriptive=save_global_descriptive,
                logging_level=logging_level,
                seed=seed,
            )
        except InvalidValueError as error:
            raise InvalidConditionError(str(error)) from error
        super().__init__()
        self.logger = instance_logger(
            "astrocast.denoising", self.settings.logging_level
        )
        self.window = Window.of(self.settings)
        self.recordings = open_sources(paths, self.settings, self.window)
        self.scalings = self._find_scalings()
        if in_memory:
            self._read_into_memory()
        self.seed = (
            int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        )
        self.epoch = 0
        self.items: list[Item] = []
        self.cache: dict[tuple[int, int], Batch] = {}
        self.engine: str | None = None
        self._choose_items()

    def __repr__(self) -> str:
        """Return the numbers of recordings, items and batches, and the patch."""
        rows, columns = self.settings.input_size
        count = len(self.recordings)
        return (
            f"<SubFrameGenerator: {count} recording{'' if count == 1 else 's'},"
            f" {len(self.items)} items of {rows} x {columns} pixels and"
            f" {self.window.channels} context frames, {len(self)} batches>"
        )

    @property
    def batch_size(self) -> int:
        """Items per batch."""
        return self.settings.batch_size

    def __len__(self) -> int:
        return self.count_batches(self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        return self.make_batch(index, self.batch_size)

    def count_batches(self, batch_size: int) -> int:
        """Return the number of batches of an epoch, for any size of batches."""
        return -(-len(self.items) // batch_size)

    def make_batch(self, index: int, batch_size: int) -> Batch:
        """Return a batch of this epoch, for any size of batches."""
        count = self.count_batches(batch_size)
        if not 0 <= index < count:
            raise IndexError(f"batch {index} does not exist; there are {count} batches")
        if (index, batch_size) in self.cache:
            return self.cache[index, batch_size]
        items = self.items[index * batch_size : (index + 1) * batch_size]
        rng = np.random.default_rng([self.seed, self.epoch, index])
        patches = read_patches(self.recordings, items, self.window, self.settings)
        pairs = [
            self._make_item(patch, item, rng)
            for patch, item in zip(patches, items, strict=True)
        ]
        batch = np.stack([x for x, _ in pairs]), np.stack([y for _, y in pairs])
        if self.settings.cache_results:
            self.cache[index, batch_size] = batch
        return batch

    def regroup(self, batch_size: int) -> Any:
        """Return these items in batches of another size, for training.

        Returns the generator itself if the size is the same.
        """
        return (
            self if batch_size == self.batch_size else _RebatchedItems(self, batch_size)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the recordings."""
        for recording in self.recordings:
            recording.close()

    def on_epoch_end(self) -> None:
        """Choose the items of the next epoch; Keras calls this after every epoch."""
        self.epoch += 1
        if not self.settings.cache_results:
            self._choose_items()

    def infer(
        self,
        model: Any,
        output: str | Path | None = None,
        out_loc: str | None = None,
        dtype: Literal["same"] | DTypeLike = "same",
        chunk_size: str | int | tuple[int, int, int] | None = None,
        rescale: bool = True,
        *,
        engine: Literal["auto", "openvino", "jax", "keras"] = "auto",
        tile: int = 256,
        overwrite: bool = False,
    ) -> NDArray[Any] | Path:
        """Denoise the recording of this generator with a model, in bounded memory.

        The output has as many frames as the recording: at both ends in time, and at
        the border of the frame, the recording is mirrored. Large frames are computed in
        tiles that overlap by the network's field of view, so that tiles leave no seams.

        Parameters
        ----------
        model
            A Keras model, or the path of a model file or of a folder that `Network`
            wrote. Files are read without running any code that they may contain.
        output
            File to write; None returns an array.
        out_loc
            Dataset in the output; needed for HDF5.
        dtype
            dtype of the output; values outside its range are clipped, with a warning.
            ``same`` is the dtype of the recording; without ``rescale`` it is float32
            for an integer recording, because a signal around 0 does not fit into
            integers.
        chunk_size
            Chunks of the output: a shape, a number of frames, or None or ``infer`` for
            chunks of about 1 MB.
        rescale
            True: convert back to the grey values of the recording. False: return the
            normalised signal (mean 0, standard deviation 1).
        engine
            Library that evaluates the network; ``auto``: the fastest installed one. Its
            name is logged and stored in the attribute ``engine``.
        tile
            Largest side of a tile in pixels.
        overwrite
            Replace an output that exists.

        Returns
        -------
        numpy.ndarray or pathlib.Path
            (frame, row, column), or the path of the output.

        Raises
        ------
        RecordingNotFoundError
            The path contains no model.
        InvalidConditionError
            The model needs another number of context frames than the generator gives.

        Warns
        -----
        AstrocastWarning
            Values were clipped to the range of an integer dtype; the message states how
            many.
        """
        if len(self.recordings) != 1:
            raise InvalidConditionError(
                "infer needs exactly one recording, but this generator has"
                f" {len(self.recordings)}; make one generator for each recording"
            )
        result, self.engine = infer_recording(
            self.recordings[0],
            model,
            self.window,
            "local" if self.settings.normalize == "local" else self.scalings[0],
            output=output,
            loc=out_loc,
            dtype=dtype,
            chunks=chunk_size,
            rescale=rescale,
            engine=engine,
            tile=tile,
            overwrite=overwrite,
            parameters=self.settings.model_dump(exclude={"loc"}),
        )
        return result

    def _find_scalings(self) -> list[Scaling]:
        if self.settings.normalize != "global":
            return [Scaling()] * len(self.recordings)
        scalings = [global_scaling(r) for r in self.recordings]
        if self.settings.save_global_descriptive:
            self.recordings = [
                store_scaling(r, s)
                for r, s in zip(self.recordings, scalings, strict=True)
            ]
        return scalings

    def _read_into_memory(self) -> None:
        loaded: list[Recording] = []
        for recording in self.recordings:
            loaded.append(
                ArrayRecording(recording.to_array(), recording.metadata, recording.path)
            )
            recording.close()
        self.recordings = loaded

    def _choose_items(self) -> None:
        rng = np.random.default_rng([self.seed, self.epoch])
        self.items = plan_epoch(
            [r.shape for r in self.recordings], self.window, self.settings, rng
        )
        if not self.items:
            raise InvalidConditionError(
                f"no frame can be a training target: z_select is"
                f" {self.settings.z_select}, but the first {self.window.halo[0]} and"
                f" the last {self.window.halo[1]} frames lack context frames"
            )

    def _make_item(
        self, patch: NDArray[Any], item: Item, rng: np.random.Generator
    ) -> Batch:
        """Return context and target of an item: normalised, rotated, flipped, noisy."""
        frames = self.scalings[item.file].apply(patch)
        if self.settings.normalize == "local":
            context = frames[self.window.offsets]
            frames = Scaling(float(context.mean()), float(context.std()) or 1.0).apply(
                frames
            )
        frames = np.rot90(
            frames, rng.choice(self.settings.allowed_rotation), axes=(1, 2)
        )
        flip = rng.choice(self.settings.allowed_flip)
        if flip >= 0:
            frames = np.flip(frames, axis=1 + flip)
        x = np.moveaxis(frames[self.window.offsets], 0, -1).copy()
        y = frames[self.window.halo[0]][..., None]
        if self.settings.add_noise:
            x += rng.normal(0, float(self.settings.add_noise), x.shape).astype(
                np.float32
            )
        if (
            self.settings.drop_frame_probability
            and rng.random() < self.settings.drop_frame_probability
        ):
            x[..., rng.integers(x.shape[-1])] = 0
        if self.settings.output_size is not None:
            rows, columns = self.settings.output_size
            top, left = (y.shape[0] - rows) // 2, (y.shape[1] - columns) // 2
            y = y[top : top + rows, left : left + columns]
        return np.ascontiguousarray(x), np.ascontiguousarray(y)


class _RebatchedItems(import_keras("training").utils.PyDataset):  # type: ignore[misc] # the base is known at run time
    """The items of a generator in batches of another size."""

    def __init__(self, generator: SubFrameGenerator, batch_size: int) -> None:
        super().__init__()
        self.generator, self.batch_size = generator, batch_size

    def __len__(self) -> int:
        return self.generator.count_batches(self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        return self.generator.make_batch(index, self.batch_size)

    def on_epoch_end(self) -> None:
        self.generator.on_epoch_end()
