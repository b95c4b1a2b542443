"""The conda recipe names the version and the dependencies of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import astrocast

ROOT = Path(__file__).resolve().parents[2]
#: conda's names of packages whose plain name brings more than is needed
NAMES = {"dask": "dask-core", "matplotlib": "matplotlib-base"}


def test_recipe_has_the_dependencies_and_the_version() -> None:
    text = (ROOT / "packaging" / "conda-forge" / "recipe.yaml").read_text("utf-8")
    recipe = yaml.safe_load(text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = set()
    for line in project["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(?:\[\w+\])?(>=[\w.]+)", line).groups()
        wanted.add(f"{NAMES.get(name, name)} {bound}")
    wanted.add("python >=${{ python_min }}")
    assert set(recipe["requirements"]["run"]) == wanted
    assert recipe["context"]["version"] == astrocast.__version__
    assert f">={recipe['context']['python_min']}" == project["requires-python"]
    assert recipe["about"]["license"] == project["license"]
