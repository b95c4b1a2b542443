"""Write the bill of materials of an installation: CycloneDX 1.6, JSON.

``python packaging/write_bom.py [--lock requirements/core.lock] [-o bom.json]``. It
lists what the lock file pins, with the hashes of its files, and the licence of each
package that is installed here. It uses no network, and writes the same bytes each time.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_PACKAGE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?P<rest>.*)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def main() -> int:
    """Write the file, or print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", type=Path, default=ROOT / "requirements/core.lock")
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    text = json.dumps(describe(chosen.lock.read_text(encoding="utf-8")), indent=1)
    if chosen.output is None:
        sys.stdout.write(text + "\n")
    else:
        chosen.output.write_text(text + "\n", encoding="utf-8")
    return 0


def describe(lock: str) -> dict[str, Any]:
    """Return the bill of materials of the text of a lock file."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "astrocast",
                "name": "astrocast",
                "version": find_version(),
            }
        },
        "components": read_lock(lock),
    }


def find_version() -> str:
    """Return the version of this package: of the source, or of the installation."""
    source = ROOT / "src" / "astrocast" / "__init__.py"
    if not source.is_file():
        return metadata.version("astrocast")
    found = re.search(r'__version__ = "(.+)"', source.read_text(encoding="utf-8"))
    return found[1] if found else "unknown"


def read_lock(lock: str) -> list[dict[str, Any]]:
    """Return a component for each package that a lock file pins."""
    components: list[dict[str, Any]] = []
    for line in lock.splitlines():
        found = _PACKAGE.match(line)
        if found is not None:
            components.append(describe_package(found))
        if components:
            components[-1]["hashes"] += [
                {"alg": "SHA-256", "content": content}
                for content in _HASH.findall(line)
            ]
    return components


def describe_package(found: re.Match[str]) -> dict[str, Any]:
    """Return the component of a package, without its hashes."""
    name, version = found["name"], found["version"]
    purl = f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [],
    }
    marker = found["rest"].strip(" ;\\")
    if marker:
        component["properties"] = [{"name": "astrocast:marker", "value": marker}]
    licence = find_licence(name)
    if licence:
        component["licenses"] = [{"license": {"name": licence}}]
    return component


def find_licence(name: str) -> str:
    """Return the licence that an installed package states; empty where it is not."""
    try:
        stated = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    classifiers = [
        c.split(" :: ")[-1]
        for c in stated.get_all("Classifier", [])
        if c.startswith("License ::")
    ]
    whole = stated.get("License-Expression") or stated.get("License") or ""
    short = whole if len(whole) < 100 and "\n" not in whole else ""
    return short or ", ".join(classifiers)


if __name__ == "__main__":
    sys.exit(main())
