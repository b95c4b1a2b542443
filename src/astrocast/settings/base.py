"""The base class of all settings, and the messages about wrong values."""

from __future__ import annotations

import difflib
import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from astrocast.errors import InvalidValueError

#: largest integer of a parameter; larger ones are not exact as a float
LARGEST = 2**53
#: largest sigma of a Gaussian filter, pixels or frames: its time grows with sigma
LONGEST_SIGMA = 1000
#: a message shows at most this many characters of a value
SHOWN = 80
_DEEPEST = 20


class Settings(BaseModel):
    """Checked, immutable parameters of one stage; unknown names are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
        # a default has the type and the limits of a given value: 2 of a float is 2.0
        validate_default=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_sensible(cls, values: Any) -> Any:
        """Refuse values that are invalid for every parameter."""
        if isinstance(values, dict):
            for name, value in values.items():
                problem = _problem_of(name, value, 0)
                if problem:
                    raise ValueError(f"{name}: {problem}")
        return values

    @classmethod
    def checked(cls, **values: Any) -> Any:
        """Return the settings, or raise one `InvalidValueError` with all problems."""
        return cls.checked_mapping(values)

    @classmethod
    def checked_mapping(cls, values: Any) -> Any:
        """Return the settings from a mapping of values, see `checked`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidValueError(describe(error, cls)) from error


def _problem_of(name: Any, value: Any, depth: int) -> str | None:
    """Return the problem of a value that is invalid for every parameter, or None."""
    if depth > _DEEPEST:
        return f"more than {_DEEPEST} nested lists; expected a number or a text"
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        if abs(value) > LARGEST:
            return (
                f"a number of {len(hex(value)) - 2} hexadecimal digits is too large;"
                f" the largest is {LARGEST}"
            )
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
    """Declare a parameter: default, meaning, unit and limits.

    ``limits``: as for `pydantic.Field` (ge, gt, le, lt).
    """
    return Field(
        default,
        description=description,
        json_schema_extra={"unit": unit} if unit else None,
        **limits,
    )


def describe(error: ValidationError, model: type[BaseModel]) -> str:
    """Return a message with all problems: parameter, value found, value expected.

    For unknown names it suggests the most similar known name.
    """
    lines = []
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        name = ".".join(path) or model.__name__
        if problem["type"] == "extra_forbidden":
            lines.append(f"{name}: {_describe_unknown(path, model)}")
            continue
        message = problem["msg"].removeprefix("Value error, ")
        # the check of a whole section already names the values in its message
        is_section = isinstance(problem["input"], dict | BaseModel)
        missing = problem["type"] == "missing"
        found = "" if missing or is_section else _describe_value(problem["input"])
        lines.append(f"{name}: {message[0].lower()}{message[1:]}{found}")
    return "; ".join(lines)


def _describe_unknown(path: list[str], model: type[BaseModel]) -> str:
    """Return a suggestion for an unknown name, and all names of its section."""
    section = model
    for part in path[:-1]:
        inner = section.model_fields[part].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        section = inner
    names = list(section.model_fields)
    near = difflib.get_close_matches(path[-1], names, 1, 0.6)
    elsewhere = _find_section(path[-1], model) if not near else None
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if elsewhere:
        hint = f" Did you mean {elsewhere!r}?"
    return f"unknown parameter.{hint} Choose one of {', '.join(names)}"


def _find_section(name: str, model: type[BaseModel], prefix: str = "") -> str | None:
    """Return the full name of a parameter called ``name`` in any section."""
    for key, field in model.model_fields.items():
        if key == name:
            return prefix + key
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found = _find_section(name, inner, f"{prefix}{key}.")
            if found:
                return found
    return None


def _describe_value(value: Any) -> str:
    text = repr(value)
    return f", found {text if len(text) <= SHOWN else text[:SHOWN] + ' ...'}"
