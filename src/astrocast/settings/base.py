"""What all settings share."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from astrocast.errors import InvalidValueError


class Settings(BaseModel):
    """Checked, immutable parameters of one stage; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @classmethod
    def checked(cls, **values: Any) -> Any:
        """Return the settings, or raise one `InvalidValueError` that lists everything
        that is wrong.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise InvalidValueError(describe(error, cls)) from error


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


def describe(error: ValidationError, model: type[BaseModel]) -> str:
    """Return all problems of a validation, one after the other: which parameter, what
    was found, what was expected; unknown names with the nearest known one.
    """
    lines = []
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        name = ".".join(path) or model.__name__
        if problem["type"] == "extra_forbidden":
            lines.append(f"{name}: {_describe_unknown(path, model)}")
            continue
        message = problem["msg"].removeprefix("Value error, ")
        found = ""
        # a whole section as the value says nothing that the message does not say
        if problem["type"] != "missing" and not isinstance(
            problem["input"], dict | BaseModel
        ):
            found = f", found {problem['input']!r}"
        lines.append(f"{name}: {message[0].lower()}{message[1:]}{found}")
    return "; ".join(lines)


def _describe_unknown(path: list[str], model: type[BaseModel]) -> str:
    """Return what to write instead of an unknown parameter: the nearest name, and all
    names of the section.
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
    return f"there is no such parameter.{hint} Known are {', '.join(names)}"


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
