"""``astrocast info``: content of a file, and what can be chosen in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from astrocast.cli.options import (
    Axes,
    Channel,
    Loc,
    Missing,
    Plane,
    Position,
    Recording,
    make_address,
)

if TYPE_CHECKING:
    from astrocast.io import Recording as OpenRecording

#: number of frames, in the middle, that are checked for two alternating channels
SAMPLE = 24


def info(
    recording: Recording,
    loc: Loc = None,
    plane: Plane = None,
    position: Position = None,
    channel: Channel = None,
    axes: Axes = None,
    missing: Missing = None,
) -> None:
    """Show shape, dtype, size, times, pixel size; list planes, positions, channels."""
    from astrocast.errors import ChoiceError
    from astrocast.io.registry import open_all_channels

    address = make_address(loc, plane, position, channel, axes, missing)
    try:
        opened = open_all_channels(recording, address)
    except ChoiceError as error:
        if not error.choices:
            raise
        typer.echo(f"{recording} contains several recordings")
        list_choices(error.choices)
        typer.echo(f"{error}")
        return
    with opened as movie:
        for line in describe(str(recording), movie):
            typer.echo(line)
        list_choices(movie.choices)


def list_choices(choices: Mapping[str, tuple[str, ...]]) -> None:
    """Print the numbers and names of planes, positions and channels."""
    for kind, names in choices.items():
        listed = ", ".join(
            str(i) if name == str(i) else f"{i} ({name})"
            for i, name in enumerate(names)
        )
        typer.echo(f"{kind}s (choose with --{kind}): {listed}")


def describe(name: str, movie: OpenRecording) -> list[str]:
    """Return the properties of a recording, one line each."""
    frames, rows, columns = movie.shape
    per_channel = frames // movie.channels
    several = f" in each of {movie.channels} channels" if movie.channels > 1 else ""
    lines = [
        f"{name}: {per_channel} frames{several}, {rows} x {columns} pixels,"
        f" {movie.dtype}, {movie.nbytes / 1e6:.1f} MB"
    ]
    if movie.loc:
        lines.append(f"dataset: {movie.loc}")
    known = movie.metadata.to_attributes()
    times = movie.metadata.describe_steps()
    lines += [
        f"{key}: {value}"
        for key, value in known.items()
        if not key.startswith("frame_times")
    ]
    lines += [times] if times else []
    if not known:
        lines.append("no physical metadata: times are in frames, lengths in pixels")
    if movie.missing:
        lines.append(f"{len(movie.missing)} frames are missing; they are read as 0")
    lines += movie.remarks
    return lines + describe_alternation(movie)


def describe_alternation(movie: OpenRecording) -> list[str]:
    """Return a warning if even and odd frames look like two channels, else nothing."""
    from astrocast.kernels.frames.alternation import ALTERNATING, measure_alternation

    if movie.channels > 1 or movie.metadata.channel_names or movie.choices:
        return []
    middle = len(movie) // 2
    first = max(0, middle - SAMPLE // 2)
    ratio = measure_alternation(movie.read(first, min(len(movie), first + SAMPLE)))
    if ratio <= ALTERNATING:
        return []
    return [
        f"the difference between even and odd frames is {ratio:.1f} times that between"
        " two even or two odd frames: perhaps two channels alternate. If so, convert"
        " with channels=2"
    ]
