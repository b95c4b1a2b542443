"""The bill of materials lists what the lock files pin, and they agree."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bom() -> ModuleType:
    path = ROOT / "packaging" / "write_bom.py"
    specification = importlib.util.spec_from_file_location("write_bom", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def read(name: str) -> str:
    return (ROOT / "requirements" / name).read_text(encoding="utf-8")


def test_every_pinned_package_is_listed_with_its_hashes(bom: ModuleType) -> None:
    lock = read("core.lock")
    described = bom.describe(lock)
    assert described == json.loads(json.dumps(bom.describe(lock)))
    parts = described["components"]
    assert len(parts) == len(re.findall("^[a-z].*==", lock, re.M)) > 30
    assert sum(len(p["hashes"]) for p in parts) == lock.count("--hash=sha256:")
    assert all(p["hashes"] for p in parts)
    numpy = next(p for p in parts if p["name"] == "numpy")
    assert numpy["purl"] == f"pkg:pypi/numpy@{numpy['version']}"
    assert "BSD" in numpy["licenses"][0]["license"]["name"]


def test_lock_files_agree_and_hold_what_the_package_asks_for(bom: ModuleType) -> None:
    core, dev = (
        {p["name"]: p["version"] for p in bom.read_lock(read(name))}
        for name in ("core.lock", "dev.lock")
    )
    assert core.items() <= dev.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = {
        re.split(r"[^A-Za-z0-9._-]", text)[0].lower().replace("_", "-")
        for text in project["project"]["dependencies"]
    }
    assert asked <= core.keys()
    extras = project["project"]["optional-dependencies"]
    names = {
        re.split(r"[^A-Za-z0-9._-]", text)[0].lower().replace("_", "-")
        for texts in extras.values()
        for text in texts
    }
    assert names - {"astrocast"} <= dev.keys()
