"""Parameters of the analysis of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from astrocast.errors import InvalidTypeError, InvalidValueError
from astrocast.kernels.ragged.normalize import Mode, Name, Step
from astrocast.kernels.ragged.resizing import PadMode
from astrocast.settings.base import Settings, parameter


class NormalizationStep(Settings):
    """One instruction of a normalisation."""

    name: Name = parameter("subtract", "Operation on the traces.")
    mode: Mode | None = parameter(
        None,
        "Statistic to subtract or divide by; none: the minimum for subtract, the"
        " maximum for divide.",
    )
    population_wide: bool = parameter(
        False, "One statistic over all traces instead of one per trace."
    )
    rows: bool = parameter(
        True,
        "One statistic per trace; false: one per frame, over all traces.",
    )
    fixed_value: float | None = parameter(
        None, "Value that replaces NaN; none: interpolate between the neighbours."
    )

    def to_step(self) -> Step:
        """Return the instruction as an argument of the kernel."""
        mode = self.mode or ("max" if self.name == "divide" else "min")
        return Step(self.name, mode, self.population_wide, self.rows, self.fixed_value)


class LengthSettings(Settings):
    """Length of traces: how they are padded and cut."""

    min_length: int | None = parameter(
        None, "Shorter traces are padded to this length.", unit="frame", ge=1
    )
    pad_mode: PadMode = parameter("edge", "Values of the padding, as in numpy.pad.")
    max_length: int | None = parameter(
        None, "Longer traces are cut to this length.", unit="frame", ge=1
    )
    align: Literal["start", "center", "end"] = parameter(
        "start", "Part of the trace that does not move when it is padded or cut."
    )


class ExtensionSettings(Settings):
    """Extension of traces beyond their event."""

    frames: int | tuple[int, int] | None = parameter(
        None,
        "Frames to add on both sides, or (before, after); none: to the ends of the"
        " recording.",
        unit="frame",
    )
    by: Literal["footprint", "edge"] = parameter(
        "footprint",
        "Pixels averaged outside the event: its whole footprint, or the pixels of its"
        " first frame (before) and last frame (after).",
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
                f"frames is {self.frames}; each side must be 0 or more frames: traces"
                " can only be made longer"
            )


class PhysiologySettings(Settings):
    """Parameters of the physiological columns."""

    signal: Literal["dF", "dFF", "F"] = parameter(
        "dFF",
        "Signal of the recording: F - F0 (dF), (F - F0) / F0 (dFF), fluorescence (F).",
    )
    context: int | None = parameter(
        None,
        "Frames of the recording before and after the event that are read; none: use"
        " the stored trace over the fixed footprint, which contains such frames.",
        unit="frame",
        ge=0,
    )
    share: float = parameter(
        0.0,
        "Two events are at the same place if they have more than this fraction of the"
        " smaller footprint in common.",
        ge=0,
        le=1,
    )
    size_ratio: float = parameter(
        0.5,
        "Two events are of similar size if the smaller footprint divided by the larger"
        " is above this.",
        gt=0,
        le=1,
    )


class SurroundingsSettings(Settings):
    """The ring around an event from which its noise trace is read."""

    gap: int = parameter(1, "Pixels between the event and the ring.", unit="px", ge=0)
    width: int = parameter(4, "Width of the ring.", unit="px", ge=1)


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
            "normalize_instructions must be a dict {order: [name, parameters]}, found"
            f" {type(instructions).__name__}"
        )
    steps = []
    for order in sorted(instructions):
        name, values = _split_instruction(order, instructions[order])
        steps.append(NormalizationStep.checked(name=name, **values).to_step())
    return steps


def _split_instruction(order: Any, instruction: Any) -> tuple[Any, dict[str, Any]]:
    """Return the name and the parameters of an instruction."""
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
