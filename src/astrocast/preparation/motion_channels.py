"""Channels that moved together: open them, and apply the motion of one to another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from astrocast.errors import InvalidTypeError, InvalidValueError
from astrocast.io.recording import Recording
from astrocast.io.stores.frame_quality import frames_left_out
from astrocast.preparation.line_offset import align_lines, choose_line_offset
from astrocast.preparation.motion_estimate import Motion, SummedChannels, lowest_value
from astrocast.preparation.motion_moving import open_in_stack
from astrocast.runtime.blocks import frames_per_block, plan_blocks, read_blocks
from astrocast.runtime.frame_quality import frame_quality_before_motion
from astrocast.settings.motion import MotionSettings


def locate_channel(path: Any, other: Any) -> tuple[Any, str | None]:
    """Return (source, loc) of a further channel.

    ``other``: the name of a dataset in the file ``path``, a recording, or (recording,
    name).
    """
    if (
        isinstance(other, str)
        and isinstance(path, (str, Path))
        and not Path(other).exists()
    ):
        return path, other
    if isinstance(other, tuple):
        if len(other) != 2:
            raise InvalidTypeError(
                "a channel is a recording, a dataset's name or (recording, name), got"
                f" {other!r}"
            )
        return other[0], other[1]
    return other, None


def open_reference(
    stack: ExitStack,
    own: Recording,
    path: Any,
    settings: MotionSettings,
    also: Sequence[Any],
) -> tuple[Recording, float]:
    """Return the recording to estimate motion on, and its line offset in pixels.

    This is the reference channel, or else the recording itself (``own``, opened from
    ``path``), with aligned lines. The channels ``also`` are added to it.
    """
    recording, name = own, settings.reference_channel
    if name is not None:
        recording = open_in_stack(stack, *locate_channel(path, name))
        check_same_shape(own, recording, name)
    pixels = choose_line_offset(recording, settings.bidi)
    members = [open_in_stack(stack, *locate_channel(path, other)) for other in also]
    aligned = [align_lines(member, pixels) for member in (recording, *members)]
    return SummedChannels(aligned) if also else aligned[0], pixels


def check_same_shape(recording: Recording, reference: Recording, name: Any) -> None:
    """Raise `InvalidValueError` if the reference channel has another shape."""
    if recording.shape != reference.shape:
        raise InvalidValueError(
            f"the reference channel {name} has the shape {reference.shape}, the"
            f" recording {recording.shape}; channels that moved together have the same"
            " shape (frame, row, column)"
        )


def transfer_motion(motion: Motion, recording: Recording, nonneg_movie: bool) -> Motion:
    """Return the motion of a reference channel, for use on another recording.

    The lowest value is measured in this recording. The table of bad frames contains its
    own bad frames and those of the reference.
    """
    own = frame_quality_before_motion(recording)
    both = pd.concat([own, motion.frame_table], ignore_index=True)
    table = both.drop_duplicates(["frame", "kind"]).sort_values(
        ["frame", "kind"], ignore_index=True
    )
    table.attrs = dict(own.attrs)
    bad = motion.quality["bad_frame"] | frames_left_out(own, len(recording))
    return replace(
        motion,
        offset=measure_offset(recording) if nonneg_movie else 0.0,
        frame_table=table,
        quality=motion.quality | {"bad_frame": bad},
    )


def measure_offset(recording: Recording) -> float:
    """Return the constant (>= 0) that makes all values of a recording >= 0."""
    if recording.dtype.kind in "bu":
        return 0.0
    blocks = list(plan_blocks(len(recording), frames_per_block(recording), (0, 0)))
    return -min(lowest_value(data) for _, data in read_blocks(recording, blocks))
