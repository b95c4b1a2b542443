"""Importing is cheap; a missing extra is named."""

import subprocess
import sys

import pytest


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_package_loads_no_keras_and_svd_needs_none() -> None:
    code = """
import sys, numpy
sys.modules["keras"] = sys.modules["jax"] = None
import astrocast.denoising as d
from astrocast.denoising import Denoiser
movie = numpy.random.default_rng(0).poisson(9, (20, 8, 8))
print(Denoiser("svd", svd_patch=4).run(movie).shape)
try:
    d.SubFrameGenerator
except ImportError as error:
    print(type(error).__name__, error)
"""
    shape, error = run(code).splitlines()
    assert shape == "(20, 8, 8)"
    assert error.startswith("MissingExtraError")
    assert "keras" in error
    assert "astrocast[denoise]" in error


@pytest.mark.parametrize(("chosen", "expected"), [(None, "jax"), ("torch", "torch")])
def test_the_backend_is_jax_unless_the_user_chose(
    chosen: str | None, expected: str
) -> None:
    code = f"""
import os, sys, types
os.environ.pop("KERAS_BACKEND", None)
{f'os.environ["KERAS_BACKEND"] = {chosen!r}' if chosen else ""}
class Stop(Exception): pass
class Finder:
    def find_spec(self, name, *rest):
        if name == "keras": print(os.environ["KERAS_BACKEND"]); raise Stop
sys.meta_path.insert(0, Finder())
from astrocast.denoising.backend import import_keras
try: import_keras("a test")
except Stop: pass
"""
    assert run(code) == expected


def test_an_unknown_name_is_an_attribute_error() -> None:
    import astrocast.denoising

    with pytest.raises(AttributeError, match="Nothing"):
        astrocast.denoising.Nothing  # noqa: B018 - the access is what is tested
