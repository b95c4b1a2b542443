"""Rules that hold for the parameters of every stage."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import astrocast.settings
from astrocast.errors import InvalidValueError
from astrocast.runtime.provenance import plain
from astrocast.settings.base import Settings, parameter

#: values of the parameters without a default
REQUIRED = {"window": 5, "batch_size": 4}


def list_models(base: type[Settings] = Settings) -> Iterator[type[Settings]]:
    for found in pkgutil.iter_modules(astrocast.settings.__path__):
        importlib.import_module(f"astrocast.settings.{found.name}")
    for model in base.__subclasses__():
        if model.__module__.startswith("astrocast.settings."):
            yield model
            yield from list_models(model)


def make_default(model: type[Settings]) -> Settings:
    names = [n for n, field in model.model_fields.items() if field.is_required()]
    made: Settings = model.checked(**{n: REQUIRED[n] for n in names})
    return made


class Example(Settings):
    """A stage with two parameters."""

    sigma: float = parameter(2, "Width of the filter.", unit="pixels", gt=0)
    frames: int = parameter(10, "Number of frames.", ge=1)


@pytest.mark.parametrize("model", list(list_models()), ids=lambda m: m.__name__)
def test_defaults_read_back_from_json_give_the_same_text(model) -> None:
    # the text is what fingerprints and run.json are made of
    text = json.dumps(plain(make_default(model).model_dump()))
    again = model.checked(**json.loads(text))
    assert json.dumps(plain(again.model_dump())) == text


def test_a_default_has_the_type_of_a_given_value() -> None:
    assert Example().model_dump_json() == '{"sigma":2.0,"frames":10}'
    assert Example().model_dump_json() == Example(sigma=2.0).model_dump_json()


def test_a_default_beyond_its_limits_is_refused() -> None:
    class Wrong(Settings):
        frames: int = parameter(0, "Number of frames.", ge=1)

    with pytest.raises(
        InvalidValueError, match=r"frames: .*greater than or equal to 1"
    ):
        Wrong.checked()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sigma": 0}, "sigma: input should be greater than 0, found 0"),
        ({"sigma": float("nan")}, "sigma: nan is not a finite number"),
        ({"frames": 2**60}, "frames: a number of 16 hexadecimal digits is too large"),
        ({"sigm": 1}, "sigm: unknown parameter. Did you mean 'sigma'?"),
        ({"sigma": -1, "frames": 0}, "; frames: input should be"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidValueError) as error:
        Example.checked(**values)
    assert message in str(error.value)


def test_settings_cannot_be_changed() -> None:
    made = Example()
    with pytest.raises(ValueError, match="frozen"):
        made.sigma = 3.0
