"""Batches of training items from recordings; loaded when
`astrocast.denoising.SubFrameGenerator` is first named.
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
from astrocast.settings.denoising import GeneratorSettings

logger = logging.getLogger("astrocast.denoising")

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


class SubFrameGenerator(import_keras("training").utils.PyDataset):  # type: ignore[misc] # the base is known at run time
    """Batches of patches with their temporal context, for training a network to predict
    a frame from its neighbours.

    A batch is ``(x, y)``, float32: ``x`` (item, row, column, context frame), ``y``
    (item, row, column, 1), the frame in between. Every epoch takes other frames, in
    another order, decided by ``seed``. Recordings are read lazily, and for one batch no
    frame of a file is read twice. DeepInterpolation (doi:10.1038/s41592-021-01285-2) is
    the idea.

    Parameters
    ----------
    paths
        A recording or a list of them: paths of any format that astrocast reads, arrays,
        or opened recordings.
    batch_size
        Items of a batch; the last batch of an epoch may be smaller.
    input_size
        Size of a patch (row, column) in pixels.
    pre_post_frame
        Number of context frames before and after the target, one number or (before,
        after).
    gap_frames
        Frames that are left out next to the target, one number or (before, after).
    z_steps
        Share of the frames that are targets in one epoch: every ``1 / z_steps``-th,
        from a random start.
    z_select
        Only these frames are targets, in every epoch.
    allowed_rotation
        Quarter turns of which each item gets one at random; ``[0]`` for none.
    allowed_flip
        Axes along which an item may be flipped: -1 none, 0 rows, 1 columns.
    random_offset
        Shift the grid of patches by a random number of pixels in each epoch. Excludes
        ``overlap``.
    add_noise
        Add Gaussian noise to the context: True for a standard deviation of 1 in units
        of the network's input, or a number.
    drop_frame_probability
        Probability that one context frame of an item is set to zero.
    max_per_file
        Most items of one file in an epoch.
    overlap
        Pixels by which neighbouring patches overlap.
    padding
        ``symmetric`` or ``edge``: extend frames that are no multiple of the patch. None
        leaves the rest out.
    shuffle
        Give the items of an epoch a random order.
    normalize
        ``global``: subtract the mean and divide by the standard deviation of the
        recording; ``local``: those of the context of each item. None gives the network
        grey values.
    loc
        Dataset in formats that hold several.
    output_size
        Size of the target (row, column), from the middle of the patch.
    cache_results
        Keep batches in memory; every epoch is then the first one.
    in_memory
        Load the recordings at the start.
    save_global_descriptive
        Store mean and standard deviation as attributes ``global_mean`` and
        ``global_std`` of an HDF5 dataset. This is the one case in which an input file
        is written to; a file without permission is left as it is.
    logging_level
        Level of the logger ``astrocast.denoising``.
    seed
        Seed of everything that is random; None is different each time.

    Raises
    ------
    InvalidConditionError
        (a ValueError and an AssertionError) when parameters do not fit together or to
        the recordings; the message lists all.
    RecordingNotFoundError
        When a path does not exist.

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
        z_select: int | list[int] | None = None,
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
        loc: str = "data/",
        output_size: tuple[int, int] | None = None,
        cache_results: bool = False,
        in_memory: bool = False,
        save_global_descriptive: bool = True,
        logging_level: int = logging.INFO,
        *,
        seed: int | None = 0,
    ) -> None:
        values = {
            k: v for k, v in locals().items() if k in GeneratorSettings.model_fields
        }
        try:
            self.settings: GeneratorSettings = GeneratorSettings.checked(**values)
        except InvalidValueError as error:
            raise InvalidConditionError(str(error)) from error
        super().__init__()
        logger.setLevel(self.settings.logging_level)
        self.window = Window.of(self.settings)
        self.recordings = open_sources(paths, self.settings, self.window)
        self.scalings = self._normalise()
        if in_memory:
            self._load()
        self.seed = (
            int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        )
        self.epoch = 0
        self.items: list[Item] = []
        self.cache: dict[int, Batch] = {}
        self.engine: str | None = None
        self._plan()

    def __len__(self) -> int:
        return -(-len(self.items) // self.settings.batch_size)

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(
                f"there are {len(self)} batches, batch {index} was asked for"
            )
        if index in self.cache:
            return self.cache[index]
        size = self.settings.batch_size
        items = self.items[index * size : (index + 1) * size]
        rng = np.random.default_rng([self.seed, self.epoch, index])
        patches = read_patches(self.recordings, items, self.window, self.settings)
        made = [
            self._item(p, item, rng) for p, item in zip(patches, items, strict=True)
        ]
        batch = np.stack([x for x, _ in made]), np.stack([y for _, y in made])
        if self.settings.cache_results:
            self.cache[index] = batch
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the recordings."""
        for recording in self.recordings:
            recording.close()

    def on_epoch_end(self) -> None:
        """Choose the items of the next epoch; Keras calls this at the end of every
        epoch.
        """
        self.epoch += 1
        if not self.settings.cache_results:
            self._plan()

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
        """Denoise the recording of this generator with a model, frame by frame, in
        bounded memory.

        Every frame of the recording has its frame in the output: at both ends in time,
        and at the border of the frame, the recording is mirrored. Large frames are
        computed in tiles with as much around them as the result depends on, so that
        tiles leave no trace.

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
            dtype of the output, saturating; ``same`` is that of the recording.
        chunk_size
            Chunks of the output: a shape, a number of frames, or None and ``infer`` for
            chunks of about 1 MB.
        rescale
            Return to the grey values of the recording; False leaves mean 0 and standard
            deviation 1.
        engine
            What evaluates the network: the fastest that is present, or the one that is
            named. Which one it was is logged and kept as ``engine``.
        tile
            Largest side of a tile in pixels.
        overwrite
            Replace an output that exists.

        Returns
        -------
        numpy.ndarray or pathlib.Path
            (frame, row, column), or the path that was written.

        Raises
        ------
        RecordingNotFoundError
            When there is no model at the path.
        InvalidConditionError
            When the model takes another number of context frames than the generator
            gives.
        """
        if len(self.recordings) != 1:
            raise InvalidConditionError(
                "infer works on one recording, this generator has"
                f" {len(self.recordings)}; make a generator for each"
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

    def _normalise(self) -> list[Scaling]:
        if self.settings.normalize != "global":
            return [Scaling()] * len(self.recordings)
        scalings = [global_scaling(r) for r in self.recordings]
        if self.settings.save_global_descriptive:
            self.recordings = [
                store_scaling(r, s)
                for r, s in zip(self.recordings, scalings, strict=True)
            ]
        return scalings

    def _load(self) -> None:
        loaded: list[Recording] = []
        for recording in self.recordings:
            loaded.append(
                ArrayRecording(recording.to_array(), recording.metadata, recording.path)
            )
            recording.close()
        self.recordings = loaded

    def _plan(self) -> None:
        rng = np.random.default_rng([self.seed, self.epoch])
        self.items = plan_epoch(
            [r.shape for r in self.recordings], self.window, self.settings, rng
        )
        if not self.items:
            raise InvalidConditionError(
                f"there is nothing to train on: z_select {self.settings.z_select} holds"
                f" none of the frames {self.window.halo[0]} to last -"
                f" {self.window.halo[1]} that have their whole context"
            )

    def _item(self, patch: NDArray[Any], item: Item, rng: np.random.Generator) -> Batch:
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
