"""Output of the commands: text for people, or one JSON object for programs."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of text.")
]


def print_result(text: str, values: dict[str, Any], *, as_json: bool) -> None:
    """Print the result of a command to standard output.

    Parameters
    ----------
    text
        Text for people.
    values
        The same result for programs; NaN becomes null.
    as_json
        Whether to print the values instead of the text.
    """
    if as_json:
        from astrocast.runtime.provenance import plain

        text = json.dumps(_replace_nan(plain(values)), indent=1)
    typer.echo(text)


def _replace_nan(value: Any) -> Any:
    """Return a plain value in which None replaces NaN: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _replace_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
