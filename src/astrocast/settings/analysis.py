"""Parameters of the analysis of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from astrocast.errors import InvalidTypeError, InvalidValueError
from astrocast.kernels.ragged.normalize import Mode, Name, Step
from astrocast.settings.base import Settings, parameter

PadMode = Literal[
    "constant",
    "edge",
    "linear_ramp",
    "maximum",
    "mean",
    "median",
    "minimum",
    "reflect",
    "symmetric",
    "wrap",
]


class NormalizationStep(Settings):
    """One instruction of a normalisation."""

    name: Name = parameter("subtract", "What is done to the traces.")
    mode: Mode = parameter("min", "Statistic that is subtracted or divided by.")
    population_wide: bool = parameter(
        False, "One statistic over all traces instead of one per trace."
    )
    rows: bool = parameter(
        True, "Statistic per trace; false: per frame of the trace, over traces."
    )
    fixed_value: float | None = parameter(
        None, "What replaces NaN; none: a line between the neighbours."
    )

    def to_step(self) -> Step:
        """Return the instruction as the kernel takes it."""
        return Step(
            self.name, self.mode, self.population_wide, self.rows, self.fixed_value
        )


class LengthSettings(Settings):
    """How traces are brought to a length."""

    min_length: int | None = parameter(
        None, "Shorter traces are padded to this length.", unit="frame", ge=1
    )
    pad_mode: PadMode = parameter("edge", "What they are padded with, as in numpy.pad.")
    max_length: int | None = parameter(
        None, "Longer traces are cut to this length.", unit="frame", ge=1
    )
    align: Literal["start", "center", "end"] = parameter(
        "start", "Part of the trace that keeps its place."
    )


class ExtensionSettings(Settings):
    """How traces are continued beyond their event."""

    frames: int | tuple[int, int] | None = parameter(
        None,
        "Frames added on both sides, or (before, after); none: to the ends of the"
        " recording.",
        unit="frame",
    )
    by: Literal["footprint", "edge"] = parameter(
        "footprint",
        "Pixels averaged outside the event: all of it, or those of its first and last"
        " frame.",
    )

    @property
    def sides(self) -> tuple[int | None, int | None]:
        """Frames before and after the event."""
        return (
            self.frames
            if isinstance(self.frames, tuple)
            else (self.frames, self.frames)
        )

    def model_post_init(self, context: Any, /) -> None:
        """Refuse a negative number of frames."""
        if any(side is not None and side < 0 for side in self.sides):
            raise InvalidValueError(
                f"frames is {self.frames}; events can only be made longer: 0 or more"
                " frames a side"
            )


class PhysiologySettings(Settings):
    """What the physiological columns are computed with."""

    signal: Literal["dF", "dFF", "F"] = parameter(
        "dFF", "What the recording holds: F - F0, (F - F0) / F0, or fluorescence."
    )
    context: int = parameter(
        0,
        "Frames of the recording before and after the event that are looked at.",
        unit="frame",
        ge=0,
    )
    share: float = parameter(
        0.0,
        "Share of the smaller footprint that two events at the same place have in"
        " common.",
        ge=0,
        le=1,
    )
    size_ratio: float = parameter(
        0.5, "Smaller by larger footprint of two events of similar size.", gt=0, le=1
    )


class SurroundingsSettings(Settings):
    """Where the noise of an event is measured."""

    gap: int = parameter(
        1, "Pixels around the event that are left out.", unit="px", ge=0
    )
    width: int = parameter(4, "Width of the ring beyond the gap.", unit="px", ge=1)


def normalization_steps(instructions: Mapping[Any, Any]) -> list[Step]:
    """Return the steps of a normalisation in the order of their keys.

    Parameters
    ----------
    instructions
        ``{order: "name"}`` or ``{order: ["name", {parameter: value}]}``.

    >>> [
    ...     step.name
    ...     for step in normalization_steps(
    ...         {1: "diff", 0: ["subtract", {"mode": "first"}]}
    ...     )
    ... ]
    ['subtract', 'diff']
    """
    if not isinstance(instructions, Mapping):
        raise InvalidTypeError(
            "normalisation instructions are a dict {order: [name, parameters]}, got"
            f" {type(instructions).__name__}"
        )
    steps = []
    for order in sorted(instructions):
        name, values = _named(order, instructions[order])
        steps.append(NormalizationStep.checked(name=name, **values).to_step())
    return steps


def _named(order: Any, instruction: Any) -> tuple[Any, dict[str, Any]]:
    if isinstance(instruction, str):
        return instruction, {}
    if (
        isinstance(instruction, (list, tuple))
        and len(instruction) in (1, 2)
        and all(isinstance(values, Mapping) for values in instruction[1:])
    ):
        return instruction[0], dict(instruction[1]) if len(instruction) == 2 else {}
    raise InvalidValueError(
        f"instruction {order!r} is {instruction!r}; write a name, or [name,"
        " {parameter: value}], for example ['subtract', {'mode': 'min'}]"
    )
