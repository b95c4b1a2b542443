"""From a YAML file and ``name=value`` overrides to checked settings, and back to a
commented file.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from astrocast.errors import FormatError, InvalidValueError, RecordingNotFoundError
from astrocast.runtime.provenance import plain
from astrocast.settings.base import Settings

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class ParameterRow:
    """One parameter of a run, for a table or a form."""

    name: str
    default: Any
    unit: str | None
    description: str


def parameter_rows(model: type[Settings], prefix: str = "") -> Iterator[ParameterRow]:
    """Yield every parameter of ``model`` and of the settings within it, named
    ``stage.parameter``.
    """
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, Settings):
            yield from parameter_rows(inner, f"{prefix}{name}.")
            continue
        extra = info.json_schema_extra
        unit = extra.get("unit") if isinstance(extra, dict) else None
        default = info.get_default(call_default_factory=True)
        yield ParameterRow(
            prefix + name,
            plain(default),
            str(unit) if unit else None,
            info.description or "",
        )


def template(parameters: type[Settings] | list[ParameterRow]) -> str:
    """Return a YAML file that holds every parameter at its default, each with its
    meaning in a comment.
    """
    lines: list[str] = []
    section = ""
    rows = parameters if isinstance(parameters, list) else parameter_rows(parameters)
    for row in rows:
        stage, _, name = row.name.rpartition(".")
        if stage != section:
            lines += ["", f"{stage}:"]
            section = stage
        unit = f" [{row.unit}]" if row.unit else ""
        value = (
            yaml.safe_dump(row.default, default_flow_style=True, width=1000)
            .removesuffix("...\n")
            .strip()
        )
        indent = "  " if stage else ""
        lines += [f"{indent}# {row.description}{unit}", f"{indent}{name}: {value}"]
    return "\n".join(lines).strip() + "\n"


def read(model: type[S], path: Path | None, overrides: list[str]) -> S:
    """Return the settings that a file and overrides give.

    Parameters
    ----------
    model
        Settings of a run.
    path
        YAML file; None for the defaults.
    overrides
        ``stage.parameter=value`` each; the value is read as YAML. They win over the
        file.
    """
    return combine(model, _read_yaml(path) if path else {}, overrides)


def read_values(path: Path | None, overrides: list[str]) -> dict[str, Any]:
    """Return what a file and overrides say, unchecked: sections with parameters."""
    return apply_overrides(_read_yaml(path) if path else {}, overrides)


def combine(model: type[S], values: dict[str, Any], overrides: list[str]) -> S:
    """Return the checked settings that values and overrides give; overrides win."""
    checked: S = model.checked(**apply_overrides(values, overrides))
    return checked


def apply_overrides(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Return a copy of ``values`` with each ``stage.parameter=value`` put into it."""
    changed = copy.deepcopy(values)
    for override in overrides:
        _apply(changed, override)
    return changed


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise RecordingNotFoundError(
            f"there is no configuration file {path}; `astrocast parameters --yaml`"
            " prints one"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FormatError(
            f"{path} is no YAML file: {' '.join(str(error).split())}"
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise FormatError(
            f"{path} holds a {type(values).__name__}; expected stages with parameters"
            " below them"
        )
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts):
        raise InvalidValueError(
            f"{override!r} sets nothing; expected stage.parameter=value"
        )
    target = values
    for part in parts[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise InvalidValueError(
                f"{override!r}: {part} is a value in the configuration file, not a"
                " stage"
            )
    try:
        target[parts[-1]] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidValueError(
            f"{override!r}: the value cannot be read: {' '.join(str(error).split())}"
        ) from error
