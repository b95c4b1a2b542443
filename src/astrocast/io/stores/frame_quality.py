"""The table of frames that are not pictures, stored beside a recording.

``<stem>.<last part of loc>.frames.csv`` beside the recording, whatever its format: one
table per channel, read by every stage. Its first line says how many frames the
recording has.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import FormatError, InvalidValueError
from astrocast.io.stores.beside import Place, place_beside, read_bytes, write_bytes

SUFFIX = ".frames.csv"
#: what may be wrong with a frame
KINDS = (
    "black",
    "repeated",
    "saturated",
    "flash",
    "lost_lines",
    "out_of_focus",
    "jump",
    "low_agreement",
    "missing",
)
COLUMNS = {"frame": np.int64, "kind": str, "reason": str, "severity": np.float32}
#: a frame from this severity on is to be left out
LEAVE_OUT = 0.5


def build_frame_table(
    flags: Sequence[tuple[int, str, str, float]], frames: int
) -> pd.DataFrame:
    """Return the table of flags (frame, kind, reason, severity), by frame.

    ``frames`` is the number of frames of the recording; it is kept in ``attrs``.
    """
    unknown = sorted({kind for _, kind, _, _ in flags} - set(KINDS))
    if unknown:
        raise InvalidValueError(
            f"unknown kinds of bad frames: {', '.join(unknown)}; there are"
            f" {', '.join(KINDS)}"
        )
    table = pd.DataFrame(sorted(flags), columns=list(COLUMNS)).astype(COLUMNS)
    table.attrs["frames"] = int(frames)
    return table


def frames_left_out(table: pd.DataFrame | None, frames: int) -> NDArray[np.bool_]:
    """Return which frames of a recording are to be left out, bool (frame,).

    Parameters
    ----------
    table
        From `read_frame_quality`; None where there is none: no frame is left out.
    frames
        Number of frames of the recording.

    Raises
    ------
    InvalidValueError
        The table belongs to a recording of another length.
    """
    out = np.zeros(frames, bool)
    if table is None or not len(table):
        return out
    picked = table.loc[table["severity"] >= LEAVE_OUT, "frame"].to_numpy(np.int64)
    if len(picked) and picked.max() >= frames:
        raise InvalidValueError(
            f"the table of bad frames names frame {picked.max()}, the recording has"
            f" {frames} frames; remove the table, so that it is made again"
        )
    out[picked] = True
    return out


def frame_quality_path(recording: str | Path, loc: str | None) -> Path:
    """Return where the table of a recording on this computer is stored."""
    return Path(place_beside(recording, loc, SUFFIX))


def write_frame_quality(
    path: str | Path, loc: str | None, table: pd.DataFrame, frames: int | None = None
) -> Place:
    """Store the table of a recording beside it, and return where.

    Parameters
    ----------
    path, loc
        The recording (path or URL), and the dataset in it.
    table
        Columns ``frame``, ``kind``, ``reason``, ``severity``; from `build_frame_table`.
    frames
        Number of frames of the recording; that of ``table.attrs`` when None.
    """
    target = place_beside(path, loc, SUFFIX)
    write_table(target, table, frames)
    return target


def write_table(target: Place, table: pd.DataFrame, frames: int | None = None) -> None:
    """Write the table as CSV under any name, whole or not at all."""
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise InvalidValueError(
            f"the table of bad frames lacks the columns {', '.join(missing)}; it has"
            f" {', '.join(map(str, table.columns))}"
        )
    count = frames if frames is not None else table.attrs.get("frames", -1)
    text = table[list(COLUMNS)].to_csv(index=False, lineterminator="\n")
    write_bytes(target, f"# frames of the recording: {count}\n{text}".encode())


def read_frame_quality(path: str | Path, loc: str | None = None) -> pd.DataFrame | None:
    """Return the table that is stored beside a recording, None where there is none.

    Parameters
    ----------
    path, loc
        The recording (path or URL), and the dataset in it.

    Returns
    -------
    pandas.DataFrame or None
        ``frame`` int64, ``kind`` str, ``reason`` str, ``severity`` float32 (from 0.5 on
        the frame is to be left out); frames that are not named are fine. ``attrs``
        has the number of ``frames`` of the recording, -1 where that is not known.

    Raises
    ------
    FormatError
        The table cannot be read.
    """
    source = place_beside(path, loc, SUFFIX)
    try:
        content = read_bytes(source)
        if content is None:
            return None
        first, _, rest = content.decode("utf-8").partition("\n")
        table = pd.read_csv(StringIO(rest), keep_default_na=False)
        table = table[list(COLUMNS)].astype(COLUMNS)
        table.attrs["frames"] = int(first.rsplit(":", 1)[1])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise FormatError(
            f"{source} cannot be read: {error}; remove it, so that it is made again"
        ) from error
    return table
