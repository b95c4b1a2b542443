"""The event store: a directory with the results of the detection.

- ``event_map.*``: label volume (frame, row, column): 0 for the background, n for the
  voxels of event n
- ``time_map.npy``: bool (frames, events + 1): in which frames each event is active
- ``events.parquet``: the event table, see `astrocast.events.schema`; masks and
  footprints are packed bits
- ``events.csv``, ``events.columns.json``: numbers and texts of the table, and the
  meaning of its columns
- ``meta.json``: parameters, input, versions
- ``checksums.json``: checksum of each file, compared when the file is read

No file needs pickle. A store is written as ``<name>.partial`` and renamed when it is
complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from astrocast.errors import FormatError, RecordingNotFoundError
from astrocast.io.naming import EVENT_STORE, name_result
from astrocast.io.writing.files import replacing

TABLE, CSV, DESCRIPTION, META, TIME_MAP = (
    "events.parquet",
    "events.csv",
    "events.columns.json",
    "meta.json",
    "time_map.npy",
)

#: file with the checksums of the other files
CHECKSUMS = "checksums.json"
#: larger files are checked only by `astrocast check`: 2 GB take a second
MOST_BYTES = 256 << 20


def write_checksums(directory: Path, leave_out: Collection[str] = ()) -> None:
    """Write the checksums of all files of a complete store.

    Parameters
    ----------
    directory
        The store.
    leave_out
        Names of temporary files, which get no checksum.
    """
    sums = {
        path.name: _checksum(path)
        for path in sorted(directory.iterdir())
        if path.is_file() and path.name not in {CHECKSUMS, *leave_out}
    }
    with replacing(directory / CHECKSUMS) as beside:
        beside.write_text(json.dumps(sums, indent=1), encoding="utf-8")


def verify_file(path: Path) -> None:
    """Compare a file of a store with its checksum.

    Files of more than 256 MB, and files without a checksum, are not checked.

    Raises
    ------
    FormatError
        The file has changed since it was written.
    """
    sums = path.with_name(CHECKSUMS)
    if not sums.is_file() or path.stat().st_size > MOST_BYTES:
        return
    try:
        expected = json.loads(sums.read_text(encoding="utf-8")).get(path.name)
    except (ValueError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"{sums} is damaged: {error}; remove it to read the store without checks,"
            " or run the detection again"
        ) from error
    if expected is not None and expected != _checksum(path):
        raise FormatError(
            f"{path} was changed after the detection: its checksum differs from the one"
            f" in {sums.name}. Run the detection again; if you changed the file"
            f" yourself, remove {sums.name}"
        )


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.blake2b(digest_size=16)
        ).hexdigest()


def store_path(recording: Path, loc: str | None = None) -> Path:
    """Return the path of the event store of a recording.

    ``<stem>.<last part of loc>.roi`` beside the recording.

    Examples
    --------
    >>> store_path(Path("session/a.h5"), "df/ch0").name
    'a.ch0.roi'
    >>> store_path(Path("session/a.tiff")).name
    'a.roi'
    """
    return recording.with_name(name_result(recording, loc, EVENT_STORE))


def name_of_store(store: Path) -> str:
    """Return the name of an event store without its suffix.

    Examples
    --------
    >>> name_of_store(Path("run/recording.ch0.roi"))
    'recording.ch0'
    """
    return store.name.removesuffix(EVENT_STORE)


def list_stores(directory: Path) -> list[Path]:
    """Return the complete event stores in a directory, for example of a run, by name.

    A run has one for each channel.
    """
    return sorted(path.parent for path in directory.glob(f"*{EVENT_STORE}/{TABLE}"))


def read_meta(directory: Path) -> dict[str, Any]:
    """Return ``meta.json``: parameters, input, versions and counts of the run."""
    path = directory / META
    if not path.is_file():
        raise RecordingNotFoundError(
            f"{directory} has no {META}: it is not an event store, or the detection was"
            " interrupted"
        )
    verify_file(path)
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(
            f"{path} is not a valid JSON object: {error}. It is damaged or was changed;"
            " run the detection again"
        ) from error
