"""The log of decisions about the events of a store, beside the store.

``<store>.curation.jsonl``, or ``<store>.curation.<curator>.jsonl``: one decision per
line, see `astrocast.events.curation`. Each line has a hash of the event table it is
about; lines about another detection stay in the file and have no effect. Lines are only
ever added.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astrocast.errors import FormatError, InvalidValueError, RecordingNotFoundError
from astrocast.events.curation import CurationState, Decision, apply_decisions
from astrocast.io.stores.event_store import TABLE
from astrocast.io.stores.event_table import event_numbers

FORMAT = "astrocast curation 1"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


def curation_path(store: Path, curator: str = "") -> Path:
    """Return the file of a curator's decisions.

    Examples
    --------
    >>> curation_path(Path("run/recording.ch0.roi"), "anna").name
    'recording.ch0.curation.anna.jsonl'
    """
    check_curator(curator)
    name = f".{curator}" if curator else ""
    return store.with_name(f"{store.name.removesuffix('.roi')}.curation{name}.jsonl")


def check_curator(curator: str) -> None:
    """Raise unless ``curator`` is empty or can be part of the name of a file."""
    if curator and not _NAME.fullmatch(curator):
        raise InvalidValueError(
            f"curator {curator!r}: a name has up to 40 letters, digits, - and _"
        )


def list_curators(store: Path) -> list[str]:
    """Return who has decided about the events of a store; ``""`` has no name."""
    stem = store.name.removesuffix(".roi")
    found = []
    for path in sorted(store.parent.glob(f"{stem}.curation*.jsonl")):
        name = path.name.removeprefix(f"{stem}.curation").removesuffix(".jsonl")
        if name == "" or _NAME.fullmatch(name.removeprefix(".")):
            found.append(name.removeprefix("."))
    return found


def detection_key(store: Path) -> str:
    """Return a hash of the events of a store: of the bytes of its table."""
    path = store / TABLE
    if not path.is_file():
        raise RecordingNotFoundError(
            f"{store} holds no {TABLE}; it is not an event store"
        )
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.blake2b(digest_size=12)
        ).hexdigest()


def now() -> str:
    """Return the time in the form that decisions have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_decisions(path: Path, key: str) -> tuple[list[Decision], int]:
    """Return the decisions of a log about one detection, and how many are about others.

    A last line that was cut off by a crash does not count.

    Raises
    ------
    FormatError
        A line is not a decision.
    """
    if not path.exists():
        return [], 0
    found, others = [], 0
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):  # the rest has no line end
        if not line.strip():
            continue
        stored = _parse(line, path, number)
        if stored["detection"] != key:
            others += 1
            continue
        try:
            found.append(Decision.from_dict(stored))
        except FormatError as error:
            raise FormatError(f"{path}, line {number}: {error}") from error
    return found, others


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        stored = json.loads(line)
        if stored["format"] != FORMAT or not isinstance(stored["detection"], str):
            raise ValueError("of another format")
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"{path}, line {number} is not a decision of {FORMAT!r}: {error}"
        ) from error
    return dict(stored)


def append_decision(path: Path, key: str, decision: Decision) -> None:
    """Add a decision to a log and wait until it is on the disk."""
    line = {"format": FORMAT, "detection": key, **decision.to_dict()}
    data = (json.dumps(line, ensure_ascii=False) + "\n").encode()
    with path.open("ab+") as file:
        _mend_end(file)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _mend_end(file: Any) -> None:
    """Cut off a line that a crash left unfinished."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)


def read_curation(
    store: Path, curator: str = "", detected: Sequence[int] | None = None
) -> CurationState:
    """Return what counts after all decisions of a curator about a store.

    Parameters
    ----------
    store
        Event store.
    curator
        Whose decisions.
    detected
        Numbers of the detected events; read from the store when None.
    """
    decisions, _ = read_decisions(curation_path(store, curator), detection_key(store))
    if detected is None:
        detected = event_numbers(store)
    return apply_decisions(decisions, max(detected, default=0))
