"""The event store: a directory that holds what detection found.

``event_map.*`` label volume (frame, row, column), 0 background, n the voxels of event n
``time_map.npy`` bool (frames, events + 1): in which frames each event is active, column
n for event n ``events.parquet`` the event table, see `astrocast.events.schema`; masks
and footprints as packed bits ``events.csv``, ``events.columns.json`` its numbers as
text, and what each column means ``meta.json`` parameters, input, versions

Nothing in it needs pickle. A store is written as ``<name>.partial`` and renamed when it
is complete.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from astrocast.errors import FormatError, RecordingNotFoundError

TABLE, CSV, DESCRIPTION, META, TIME_MAP = (
    "events.parquet",
    "events.csv",
    "events.columns.json",
    "meta.json",
    "time_map.npy",
)


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
    last = (loc or "").strip("/").split("/")[-1]
    return recording.with_name(
        f"{recording.stem}.{last}.roi" if last else f"{recording.stem}.roi"
    )


def read_meta(directory: Path) -> dict[str, Any]:
    """Return ``meta.json``: parameters, input, versions and counts of the run."""
    path = directory / META
    if not path.is_file():
        raise RecordingNotFoundError(
            f"{directory} holds no {META}; it is no event store, or detection was"
            " interrupted"
        )
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(
            f"{path} is not a JSON object: {error}. It is damaged or was changed; run"
            " the detection again"
        ) from error
