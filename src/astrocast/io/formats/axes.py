"""Read an array with named axes as frames whose channels alternate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import ChoiceError, FormatError
from astrocast.io.recording import ALL
from astrocast.io.selection import Selection, choose

#: letters by which formats name positions, series, scenes, views and regions
POSITIONS = "PSRVM"
#: if the channel axis is the only one and longer than this, it is taken for the frames
MOST_CHANNELS = 8


@dataclass(frozen=True)
class Layout:
    """The planes of an array that are the frames of a recording.

    Parameters
    ----------
    axes
        A letter for each axis of the array.
    shape
        Length of each axis.
    time, channel
        Axes of the frames and of the channels; None if there is only one.
    chosen
        Index along the other axes.
    choices
        Names of all planes and positions, by "plane" and "position".
    """

    axes: str
    shape: tuple[int, ...]
    time: str | None = None
    channel: str | None = None
    chosen: Mapping[str, int] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def length(self, axis: str | None) -> int:
        """Return the length of an axis; 1 for None."""
        return 1 if axis is None else self.shape[self.axes.index(axis)]

    @property
    def frames(self) -> int:
        """Number of frames of one channel."""
        return self.length(self.time)

    @property
    def channels(self) -> int:
        """Number of channels whose frames alternate."""
        return self.length(self.channel)

    @property
    def movie_shape(self) -> tuple[int, int, int]:
        """Shape of the recording (frame, row, column), channels alternating."""
        frames = self.frames * self.channels
        return frames, self.length("Y"), self.length("X")

    def index(self, frame: int, channel: int) -> dict[str, int]:
        """Return the index of a plane along each axis that is longer than 1."""
        at = dict(self.chosen)
        if self.time is not None:
            at[self.time] = frame
        if self.channel is not None:
            at[self.channel] = channel
        return at

    def planes(self, start: int, stop: int, step: int = 1) -> NDArray[np.int64]:
        """Return the number of the plane of each frame, (frames,).

        Planes are counted in the order of the array, whose last axes are row, column.
        """
        flat = np.arange(start, stop, step, dtype=np.int64)
        if self.channels * self.frames == int(np.prod(self.shape[:-2])) and (
            self._alternating()
        ):
            return flat
        frame, channel = np.divmod(flat, self.channels)
        result = np.zeros_like(flat)
        for axis, n in zip(self.axes[:-2], self.shape[:-2], strict=True):
            at: Any = self.chosen.get(axis, 0)
            at = frame if axis == self.time else channel if axis == self.channel else at
            result = result * n + at
        return result

    def _alternating(self) -> bool:
        if self.time is None or self.channel is None:
            return True
        return self.axes.index(self.time) < self.axes.index(self.channel)

    def read(
        self,
        array: Any,
        start: int,
        stop: int,
        step: int = 1,
        rows: slice = ALL,
        columns: slice = ALL,
    ) -> NDArray[Any]:
        """Return frames of an array with these axes, (frame, row, column).

        Parameters
        ----------
        array
            Object that can be indexed by integers and slices like a NumPy array.
        start, stop, step
            Frames of the recording, channels alternating.
        rows, columns
            Part of each frame.
        """
        k = self.channels
        times, channel, cut = slice(start // k, -(-stop // k)), ALL, slice(None)
        if k > 1 and step % k == 0:  # one channel only
            only = start % k
            count = max(0, -(-(stop - start) // step))
            begin, stride = start // k, step // k
            times = slice(begin, begin + max(0, (count - 1) * stride + min(count, 1)))
            times = slice(times.start, times.stop, stride)
            channel = slice(only, only + 1)
        else:
            cut = slice(start - times.start * k, max(start, stop) - times.start * k)
            cut = slice(cut.start, cut.stop, step)
        if stop <= start:
            times, cut = slice(0, 0), slice(0, 0)
        where = {self.time: times, self.channel: channel, "Y": rows, "X": columns}
        index = tuple(where.get(a, self.chosen.get(a, 0)) for a in self.axes)
        block = np.asarray(array[index])
        kept = [a for a in self.axes if a in where]
        wanted = [a for a in (self.time, self.channel, "Y", "X") if a is not None]
        block = block.transpose([kept.index(a) for a in wanted])
        block = block.reshape(-1, *block.shape[-2:])
        return np.ascontiguousarray(block[cut])


def read_layout(
    axes: str,
    shape: tuple[int, ...],
    where: str,
    selection: Selection | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
    stacks: bool = False,
) -> Layout:
    """Return the layout of an array with named axes.

    Parameters
    ----------
    axes
        A letter for each axis, with Y and X: T time, C channel, Z plane, P, S, R, V
        position; other letters are unknown axes. If there is a single axis in addition
        to channels, it is the axis of the frames, unless it is one of positions.
    shape
        Length of each axis.
    where
        File, for messages.
    selection
        Plane and position to read.
    names
        Names of the planes and positions, by "plane" and "position".
    stacks
        Whether a single axis of depth or channels is really one; otherwise it is taken
        for the frames of a movie.

    Raises
    ------
    ChoiceError
        There are several planes or positions, and none was chosen.
    FormatError
        The array has colour or unknown axes.
    """
    chosen = selection or Selection()
    text = f"{where} has axes {axes} of shape {tuple(shape)}"
    if "Y" not in axes or "X" not in axes:
        raise FormatError(
            f"{text}; expected axes with rows Y and columns X: name them with axes="
        )
    counted = [a for a, n in zip(axes, shape, strict=True) if n > 1 and a not in "YX"]
    lengths = dict(zip(axes, shape, strict=True))
    channel = "C" if "C" in counted else None
    others = [a for a in counted if a != "C"]
    positions = [a for a in others if a in POSITIONS]
    rest = [a for a in others if a not in POSITIONS]
    time = _time_axis(rest, chosen, stacks)
    # some programs write the frames of a movie as channels
    if channel and not others and not stacks and lengths["C"] > MOST_CHANNELS:
        time, channel = "C", None
    fixed: dict[str, int] = {}
    choices: dict[str, tuple[str, ...]] = {}
    missing: list[ChoiceError] = []
    left = [a for a in rest if a != time]
    unknown = [a for a in left if a != "Z"]
    if unknown or len(positions) > 1:
        raise FormatError(
            f"{text}: several axes ({', '.join(counted)}) are longer than 1, and the"
            " axis of the frames is not known. Name the axes with axes=, for example"
            " axes='TZYX'"
        )
    for axis, kind in [(a, "position") for a in positions] + [
        (a, "plane") for a in left
    ]:
        labels = tuple((names or {}).get(kind) or [""] * lengths[axis])
        choices[kind] = tuple(n or str(i) for i, n in enumerate(labels))
        try:
            fixed[axis] = choose(kind, labels, getattr(chosen, kind), where)
        except ChoiceError as error:
            missing.append(error)
    if missing:
        if channel:
            named = (names or {}).get("channel") or [""] * lengths["C"]
            choices["channel"] = tuple(n or f"ch{i}" for i, n in enumerate(named))
        raise ChoiceError("; ".join(str(e) for e in missing), choices)
    _check_unused(chosen, choices, where)
    return Layout(axes, tuple(shape), time, channel, fixed, choices)


def _time_axis(rest: list[str], chosen: Selection, stacks: bool) -> str | None:
    """Return the axis of the frames; ``rest``: axes without channels and positions."""
    if "T" in rest:
        return "T"
    unknown = [a for a in rest if a != "Z"]
    if len(unknown) == 1:
        return unknown[0]
    # a stack whose only axis is depth is a movie, unless a plane was chosen
    if rest == ["Z"] and chosen.plane is None and not stacks:
        return "Z"
    return None


def _check_unused(
    selection: Selection, choices: Mapping[str, tuple[str, ...]], where: str
) -> None:
    """Raise an error if a choice other than 0 was made but there is only one item."""
    for kind in ("plane", "position"):
        wanted = getattr(selection, kind)
        if kind not in choices and wanted is not None and str(wanted) != "0":
            raise ChoiceError(
                f"{where} has a single {kind}; {wanted!r} does not exist, leave"
                f" {kind} out"
            )


def times_of_frames(stamps: NDArray[Any], layout: Layout) -> NDArray[Any] | None:
    """Return the time stamp of each frame; None if their number does not fit.

    Parameters
    ----------
    stamps
        Time stamp of each plane, of each plane of the first channel, or of each frame,
        in the order of the file.
    layout
        The planes that are read.
    """
    lengths = dict(zip(layout.axes[:-2], layout.shape[:-2], strict=True))
    for axes in (layout.axes[:-2], layout.axes[:-2].replace("C", "")):
        if len(stamps) == int(np.prod([lengths[a] for a in axes])):
            flat = []
            for frame in range(layout.frames):
                at, n = layout.index(frame, 0), 0
                for a in axes:
                    n = n * lengths[a] + at.get(a, 0)
                flat.append(n)
            return stamps[flat]
    return stamps if len(stamps) == layout.frames else None


def merge_names(found: Sequence[str], count: int) -> tuple[str, ...]:
    """Return ``count`` names: those found, then empty ones."""
    return tuple([*found, *[""] * count][:count])
