"""``astrocast info``: content and choices of a recording."""

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

#: frames from the middle that are looked at for two alternating channels
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
    """Show shape, type, size, times, pixel size, and what there is to choose from."""
    from astrocast.errors import ChoiceError
    from astrocast.io.registry import open_all_channels

    address = make_address(loc, plane, position, channel, axes, missing)
    try:
        opened = open_all_channels(recording, address)
    except ChoiceError as error:
        if not error.choices:
            raise
        typer.echo(f"{recording}: several recordings")
        list_choices(error.choices)
        typer.echo(f"{error}")
        return
    with opened as movie:
        for line in describe(str(recording), movie):
            typer.echo(line)
        list_choices(movie.choices)


def list_choices(choices: Mapping[str, tuple[str, ...]]) -> None:
    """Print the names of planes, positions and channels with their numbers."""
    for kind, names in choices.items():
        listed = ", ".join(
            str(i) if name == str(i) else f"{i} ({name})"
            for i, name in enumerate(names)
        )
        typer.echo(f"{kind}s to choose from (--{kind}): {listed}")


def describe(name: str, movie: OpenRecording) -> list[str]:
    """Return the properties of a recording, a line each."""
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
        lines.append(f"{len(movie.missing)} frames are missing and read as 0")
    lines += movie.remarks
    return lines + describe_alternation(movie)


def describe_alternation(movie: OpenRecording) -> list[str]:
    """Return a line where even and odd frames look like two channels."""
    from astrocast.kernels.frames.alternation import ALTERNATING, measure_alternation

    if movie.channels > 1 or movie.metadata.channel_names or movie.choices:
        return []
    middle = len(movie) // 2
    first = max(0, middle - SAMPLE // 2)
    ratio = measure_alternation(movie.read(first, min(len(movie), first + SAMPLE)))
    if ratio <= ALTERNATING:
        return []
    return [
        f"even and odd frames differ {ratio:.1f} times as much as frames of the same"
        " parity: two channels that alternate? Convert with channels=2"
    ]
