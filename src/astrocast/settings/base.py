"""What all settings share."""

from __future__ import annotations

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
            raise InvalidValueError(describe(error, cls.__name__)) from error


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
        found = "" if problem["type"] == "missing" else f", found {problem['input']!r}"
        lines.append(f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]}{found}")
    return "; ".join(lines)
