"""What the files of the project say of each other agrees."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import astrocast

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_the_classifiers_name_the_pythons_that_ci_tests() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    stated = [
        text.removeprefix("Programming Language :: Python :: ")
        for text in project["classifiers"]
        if text.startswith("Programming Language :: Python :: 3.")
    ]
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    assert jobs["tests"]["strategy"]["matrix"]["python"] == stated
    assert project["requires-python"] == f">={stated[0]}"
    assert jobs["oldest"]["steps"][1]["with"]["python-version"] == stated[0]


def test_citation_and_change_log_state_the_version() -> None:
    version = astrocast.__version__
    assert yaml.safe_load(read("CITATION.cff"))["version"] == version
    assert re.search(rf"^## {re.escape(version)}\b", read("CHANGELOG.md"), re.M)


@pytest.mark.parametrize("section", ["Added", "Changed", "Fixed"])
def test_the_change_log_of_this_version_has_sections(section: str) -> None:
    newest = re.split(r"^## ", read("CHANGELOG.md"), flags=re.M)[1]
    assert newest.count(f"\n### {section}\n") == 1


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "README.md"])
def test_commands_and_files_that_a_page_names_exist(name: str) -> None:
    text = read(name)
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.M))
    # in a line of code, or in quotes in the text
    commands = re.findall(r"^make ([a-z -]+?)(?:  |$)", text, re.M)
    commands += re.findall(r"`make ([a-z -]+)`", text)
    assert commands
    assert {word for line in commands for word in line.split()} <= targets
    for path in re.findall(r"\b(?:tests|src|docs)/[\w/.]+\.(?:py|json|md)\b", text):
        assert (ROOT / path).is_file(), path
