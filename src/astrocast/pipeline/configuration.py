"""Read settings from YAML and ``name=value`` overrides; write commented YAML."""

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

#: largest number of characters of a configuration file
LONGEST_TEXT = 1 << 20

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class ParameterRow:
    """One parameter of a run, for tables and forms."""

    name: str
    default: Any
    unit: str | None
    description: str


def parameter_rows(model: type[Settings], prefix: str = "") -> Iterator[ParameterRow]:
    """Yield each parameter of ``model`` and of its nested settings.

    The names have the form ``stage.parameter``.
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
    """Return the text of a YAML file with all parameters at their defaults.

    Each parameter has a comment with its meaning and unit.
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
    """Return the settings from a file and overrides.

    Parameters
    ----------
    model
        Class of the settings.
    path
        YAML file; None for the defaults.
    overrides
        Texts ``stage.parameter=value``; the value is read as YAML. They replace the
        values of the file.
    """
    return combine(model, _read_yaml(path) if path else {}, overrides)


def read_values(path: Path | None, overrides: list[str]) -> dict[str, Any]:
    """Return the sections of a file with overrides applied, without checking them."""
    return apply_overrides(_read_yaml(path) if path else {}, overrides)


def combine(model: type[S], values: dict[str, Any], overrides: list[str]) -> S:
    """Return the checked settings; overrides replace values."""
    checked: S = model.checked_mapping(apply_overrides(values, overrides))
    return checked


class _PlainLoader(yaml.SafeLoader):
    """Read YAML, but refuse aliases and names that occur twice.

    Aliases can expand to gigabytes. If a name occurs twice, YAML silently uses the last
    value.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(
                problem=f"aliases (*{event.anchor}) are not supported; write the value",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Refuse names that are not text and names that occur twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            named = isinstance(key, str | int)
            if not named or key in seen:
                why = "occurs twice" if named else "is not a name"
                raise yaml.constructor.ConstructorError(
                    problem=f"{str(key)[:80]!r} {why}", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str, what: str) -> Any:
    """Return the content of a YAML text; ``what`` describes it in error messages.

    Raises
    ------
    FormatError
        The text is not YAML, contains an alias or the same name twice, or is longer
        than `LONGEST_TEXT`.
    """
    if len(text) > LONGEST_TEXT:
        raise FormatError(
            f"{what} has {len(text)} characters; at most {LONGEST_TEXT} are read (all"
            " parameters need a few thousand)"
        )
    try:
        return yaml.load(text, _PlainLoader)
    except RecursionError as error:
        raise FormatError(f"{what} is nested too deeply to be read") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise FormatError(
            f"{what} cannot be read as YAML: {' '.join(str(error).split())}"
        ) from error


def apply_overrides(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Return a copy of ``values`` with each ``stage.parameter=value`` applied."""
    changed = copy.deepcopy(values)
    for override in overrides:
        _apply_override(changed, override)
    return changed


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise RecordingNotFoundError(
            f"the configuration file {path} does not exist; `astrocast parameters"
            " --yaml` prints an example"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not a YAML file: {error}") from error
    values = load_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise FormatError(
            f"{path} contains a {type(values).__name__}; expected stages with their"
            " parameters below them"
        )
    return values


def _apply_override(values: dict[str, Any], override: str) -> None:
    """Set one ``stage.parameter=value`` in ``values``."""
    name, equals, text = override.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts):
        raise InvalidValueError(
            f"{override!r} does not set a parameter; expected stage.parameter=value"
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
        target[parts[-1]] = load_yaml(text, f"the value of {override[:80]!r}")
    except FormatError as error:
        raise InvalidValueError(str(error)) from error
