"""What all settings share."""

from __future__ import annotations

import difflib
import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from astrocast.errors import InvalidValueError

#: larger integers are not a size, count or seed, and not exact as a float
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
        """Refuse values that no parameter can have, before its own check."""
        if isinstance(values, dict):
            for name, value in values.items():
                problem = _problem_of(name, value, 0)
                if problem:
                    raise ValueError(f"{name}: {problem}")
        return values

    @classmethod
    def checked(cls, **values: Any) -> Any:
        """Return the settings, or raise one error that lists all problems.

        An `InvalidValueError`.
        """
        return cls.checked_mapping(values)

    @classmethod
    def checked_mapping(cls, values: Any) -> Any:
        """Return the settings that a mapping gives, see `checked`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidValueError(describe(error, cls)) from error


def _problem_of(name: Any, value: Any, depth: int) -> str | None:
    """Return the problem of a value that no parameter can have, or None."""
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
    """Declare a parameter: default, meaning, unit and limits.

    Limits as for `pydantic.Field` (ge, gt, le, lt).
    """
    return Field(
        default,
        description=description,
        json_schema_extra={"unit": unit} if unit else None,
        **limits,
    )


def describe(error: ValidationError, model: type[BaseModel]) -> str:
    """Return all problems of a validation: parameter, found and expected value.

    Unknown names with the nearest known one.
    """
    lines = []
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        name = ".".join(path) or model.__name__
        if problem["type"] == "extra_forbidden":
            lines.append(f"{name}: {_describe_unknown(path, model)}")
            continue
        message = problem["msg"].removeprefix("Value error, ")
        # a check of the whole section describes the value itself
        is_section = isinstance(problem["input"], dict | BaseModel)
        missing = problem["type"] == "missing"
        found = "" if missing or is_section else _describe_value(problem["input"])
        lines.append(f"{name}: {message[0].lower()}{message[1:]}{found}")
    return "; ".join(lines)


def _describe_unknown(path: list[str], model: type[BaseModel]) -> str:
    """Return what to write instead of an unknown parameter.

    The nearest name, and all names of the section.
    """
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
    return f"unknown parameter.{hint} Known are {', '.join(names)}"


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
