"""The log of decisions about the events of a store, beside the store.

``<store>.curation.jsonl``, or ``<store>.curation.<curator>.jsonl``: one decision per
line, see `astrocast.events.curation`. Each line contains a hash of its event table;
lines for other detections stay in the file, without effect. Lines are only added, never
changed.
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
from astrocast.io.stores.event_store import TABLE, name_of_store
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
    return store.with_name(f"{name_of_store(store)}.curation{name}.jsonl")


def check_curator(curator: str) -> None:
    """Raise an error unless ``curator`` is empty or valid as part of a file name."""
    if curator and not _NAME.fullmatch(curator):
        raise InvalidValueError(
            f"the name of the curator is {curator!r}; use at most 40 letters, digits, -"
            " and _"
        )


def list_curators(store: Path) -> list[str]:
    """Return the names of the curators of a store; ``""`` for the log without name."""
    stem = name_of_store(store)
    found = []
    for path in sorted(store.parent.glob(f"{stem}.curation*.jsonl")):
        name = path.name.removeprefix(f"{stem}.curation").removesuffix(".jsonl")
        if name == "" or _NAME.fullmatch(name.removeprefix(".")):
            found.append(name.removeprefix("."))
    return found


def detection_key(store: Path) -> str:
    """Return a hash of the event table of a store."""
    path = store / TABLE
    if not path.is_file():
        raise RecordingNotFoundError(
            f"{store} is not an event store: it has no {TABLE}"
        )
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.blake2b(digest_size=12)
        ).hexdigest()


def now() -> str:
    """Return date and time in the format of decisions."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_decisions(path: Path, key: str) -> tuple[list[Decision], int]:
    """Return the decisions for one detection, and the number of lines for others.

    An incomplete last line, left by a crash, is ignored.

    Raises
    ------
    FormatError
        A line is not a decision.
    """
    if not path.exists():
        return [], 0
    found, others = [], 0
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):  # the last has no line end
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
    """Append a decision to a log and wait until it is on the disk."""
    line = {"format": FORMAT, "detection": key, **decision.to_dict()}
    data = (json.dumps(line, ensure_ascii=False) + "\n").encode()
    with path.open("ab+") as file:
        _remove_incomplete_line(file)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _remove_incomplete_line(file: Any) -> None:
    """Remove an incomplete last line, left by a crash."""
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
    """Return the state of the events of a store after all decisions of a curator.

    Parameters
    ----------
    store
        Event store.
    curator
        Name of the curator.
    detected
        Numbers of the detected events; None: read from the store.
    """
    decisions, _ = read_decisions(curation_path(store, curator), detection_key(store))
    if detected is None:
        detected = event_numbers(store)
    return apply_decisions(decisions, max(detected, default=0))
