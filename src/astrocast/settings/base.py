"""What all settings share."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from astrocast.errors import InvalidValueError

#: whole numbers beyond these are no size, count or seed, and no float has them exactly
LARGEST = 2**53
#: lengths (pixels, frames) of a Gaussian; the time of a smoothing grows with them
LONGEST_SIGMA = 1000
#: characters of a value that a message shows
SHOWN = 80
_DEEPEST = 20


class Settings(BaseModel):
    """Checked, immutable parameters of one stage; unknown names are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_sensible(cls, values: Any) -> Any:
        """Refuse what no parameter can be, whatever its own check says."""
        if isinstance(values, dict):
            for name, value in values.items():
                problem = _problem_of(name, value, 0)
                if problem:
                    raise ValueError(f"{name}: {problem}")
        return values

    @classmethod
    def checked(cls, **values: Any) -> Any:
        """Return the settings, or raise one `InvalidValueError` that lists everything
        that is wrong.
        """
        return cls.checked_mapping(values)

    @classmethod
    def checked_mapping(cls, values: Any) -> Any:
        """Return the settings that a mapping gives, see `checked`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidValueError(describe(error, cls.__name__)) from error


def _problem_of(name: Any, value: Any, depth: int) -> str | None:
    """Return what is wrong with a value of any parameter; None where nothing is."""
    if depth > _DEEPEST:
        return "lists in lists in lists ...; expected a plain value"
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        if abs(value) > LARGEST:
            return f"a number of {len(hex(value)) - 2} hexadecimal digits is too large"
        if value < 0 and name == "seed":
            return f"{value} is below 0; a seed is 0 or a positive whole number"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number"
    if isinstance(value, list | tuple):
        found = (_problem_of(name, part, depth + 1) for part in value)
        return next((problem for problem in found if problem), None)
    return None


def parameter(
    default: Any, description: str, *, unit: str | None = None, **limits: Any
) -> Any:
    """Declare a parameter: default, meaning, unit, and limits as for `pydantic.Field`
    (ge, gt, le, lt).
    """
    return Field(
        default,
        description=description,
        json_schema_extra={"unit": unit} if unit else None,
        **limits,
    )


def describe(error: ValidationError, what: str) -> str:
    """Return all problems of a validation, a line each: which parameter, what was
    found, what was expected.
    """
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"]) or what
        found = "" if problem["type"] == "missing" else _found(problem["input"])
        if problem["type"] == "value_error" and isinstance(problem["input"], dict):
            found = ""  # a check of the whole names what it found
        text = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {text[0].lower()}{text[1:]}{found}")
    return "; ".join(lines)


def _found(value: Any) -> str:
    text = repr(value)
    return f", found {text if len(text) <= SHOWN else text[:SHOWN] + ' ...'}"
