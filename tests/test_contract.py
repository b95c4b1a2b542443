"""The public classes keep every name, parameter and default of the contract."""

from __future__ import annotations

import builtins
import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

CONTRACT: dict[str, dict[str, list[list[Any]]]] = json.loads(
    (Path(__file__).parent / "data" / "signatures.json").read_text(encoding="utf-8")
)
METHODS = [(path, method) for path, methods in CONTRACT.items() for method in methods]


@pytest.mark.parametrize(
    ("path", "method"), METHODS, ids=[f"{p.split('.')[-1]}.{m}" for p, m in METHODS]
)
def test_signature_starts_with_the_contract(path: str, method: str) -> None:
    module, name = path.rsplit(".", 1)
    signature = inspect.signature(getattr(getattr(import_module(module), name), method))
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    expected = CONTRACT[path][method]
    assert [p.name for p in parameters[: len(expected)]] == [
        name for name, _ in expected
    ]
    for found, (name, default) in zip(parameters, expected, strict=False):
        if default is None:
            assert found.default is inspect.Parameter.empty, name
        else:
            # the defaults are literals or builtin types
            assert found.default == eval(default, vars(builtins)), name
    # parameters beyond the contract are optional and keyword-only
    for extra in parameters[len(expected) :]:
        assert (
            extra.kind is inspect.Parameter.KEYWORD_ONLY
            or extra.default is not inspect.Parameter.empty
        ), extra.name
