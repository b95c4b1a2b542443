"""Channels that moved together: which they are, and the motion of one for another."""

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


def channel(path: Any, other: Any) -> tuple[Any, str | None]:
    """Return (source, loc) of a further channel.

    A name is a dataset beside the first one; anything else is a recording.
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
    """Return what the motion is estimated on, and the offset of its odd lines, pixels.

    The reference channel or the recording itself (``own``, from ``path``), with aligned
    lines, and the channels ``also`` added.
    """
    recording, name = own, settings.reference_channel
    if name is not None:
        recording = open_in_stack(stack, *channel(path, name))
        check_same_shape(own, recording, name)
    pixels = choose_line_offset(recording, settings.bidi)
    members = [open_in_stack(stack, *channel(path, other)) for other in also]
    aligned = [align_lines(member, pixels) for member in (recording, *members)]
    return SummedChannels(aligned) if also else aligned[0], pixels


def check_same_shape(recording: Recording, reference: Recording, name: Any) -> None:
    """Refuse a reference channel that is not of the shape of the recording."""
    if recording.shape != reference.shape:
        raise InvalidValueError(
            f"the reference channel {name} has the shape {reference.shape}, the"
            f" recording {recording.shape}; channels that moved together have the same"
            " shape (frame, row, column)"
        )


def applied_to(motion: Motion, recording: Recording, nonneg_movie: bool) -> Motion:
    """Return the motion of a reference channel for another recording.

    The lowest value and the frames that are not pictures are those of the recording;
    frames of the reference that were not registered stay in the table.
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
        offset=offset_of(recording) if nonneg_movie else 0.0,
        frame_table=table,
        quality=motion.quality | {"bad_frame": bad},
    )


def offset_of(recording: Recording) -> float:
    """Return what lifts the lowest value of a recording to zero, at least 0."""
    if recording.dtype.kind in "bu":
        return 0.0
    blocks = list(plan_blocks(len(recording), frames_per_block(recording), (0, 0)))
    return -min(lowest_value(data) for _, data in read_blocks(recording, blocks))
