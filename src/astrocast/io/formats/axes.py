"""From the axes of a microscope's file to frames whose channels alternate."""

from __future__ import annotations

from dataclasses import dataclass

from astrocast.errors import FormatError


@dataclass(frozen=True)
class Layout:
    """How the planes of a file follow each other.

    Parameters
    ----------
    frames
        Number of time points.
    channels
        Number of channels.
    channels_outside
        Whether all time points of a channel follow each other (True) or all channels of
        a time point (False).
    """

    frames: int
    channels: int
    channels_outside: bool = False

    def planes(self, start: int, stop: int, step: int = 1) -> range | list[int]:
        """Return which plane of the file each frame of the interleaved recording is."""
        if not self.channels_outside or self.channels == 1:
            return range(start, stop, step)
        return [
            (i % self.channels) * self.frames + i // self.channels
            for i in range(start, stop, step)
        ]


def read_layout(axes: str, shape: tuple[int, ...], where: str) -> Layout:
    """Return the layout of an array with named axes, the last two of which are row and
    column.

    Raises
    ------
    FormatError
        It is no movie of single planes: colour samples, or depth as well as time.
    """
    text = f"{where} has axes {axes} of shape {tuple(shape)}"
    if not axes.endswith("YX"):
        raise FormatError(
            f"{text}; expected frames of one value per pixel, not colour: convert it to"
            " grey values first"
        )
    counted = [(a, n) for a, n in zip(axes[:-2], shape[:-2], strict=True) if n > 1]
    # channels of one moment are no movie: programs that know no axes write this
    if [a for a, _ in counted] == ["C"]:
        counted = [("T", counted[0][1])]
    repeats = [(a, n) for a, n in counted if a != "C"]
    if len(repeats) > 1:
        raise FormatError(
            f"{text}: it varies along {', '.join(a for a, _ in repeats)}; expected one axis besides "
            "channel, row and column. Save one plane, position or scene"
        )
    channels = next((n for a, n in counted if a == "C"), 1)
    frames = repeats[0][1] if repeats else 1
    return Layout(
        frames,
        channels,
        channels_outside=bool(counted) and counted[0][0] == "C" and frames > 1,
    )
