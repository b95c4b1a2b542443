"""The table of bad frames, stored beside a recording.

``<stem>.<last part of loc>.frames.csv`` beside the recording, for all formats: one
table per channel, read by all stages. Its first line contains the number of frames of
the recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import FormatError, InvalidValueError
from astrocast.events.required import require_names
from astrocast.io.stores.beside import Place, place_beside, read_bytes, write_bytes

SUFFIX = ".frames.csv"
#: kinds of bad frames
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
#: frames with at least this severity are left out by later stages
LEAVE_OUT = 0.5


def build_frame_table(
    flags: Sequence[tuple[int, str, str, float]], frames: int
) -> pd.DataFrame:
    """Return the table of bad frames, sorted by frame.

    ``flags``: (frame, kind, reason, severity). ``frames``: number of frames of the
    recording, stored in ``attrs["frames"]``.
    """
    unknown = sorted({kind for _, kind, _, _ in flags} - set(KINDS))
    if unknown:
        raise InvalidValueError(
            f"unknown kinds of bad frames: {', '.join(unknown)}; expected"
            f" {', '.join(KINDS)}"
        )
    table = pd.DataFrame(sorted(flags), columns=list(COLUMNS)).astype(COLUMNS)
    table.attrs["frames"] = int(frames)
    return table


def frames_left_out(table: pd.DataFrame | None, frames: int) -> NDArray[np.bool_]:
    """Return which frames of a recording have to be left out, bool (frame,).

    Parameters
    ----------
    table
        From `read_frame_quality`; None: no frame is left out.
    frames
        Number of frames of the recording.

    Raises
    ------
    InvalidValueError
        The table belongs to a longer recording.
    """
    out = np.zeros(frames, bool)
    if table is None or not len(table):
        return out
    picked = table.loc[table["severity"] >= LEAVE_OUT, "frame"].to_numpy(np.int64)
    if len(picked) and picked.max() >= frames:
        raise InvalidValueError(
            f"the table of bad frames contains frame {picked.max()}, but the recording"
            f" has {frames} frames; remove the table: it is then created again"
        )
    out[picked] = True
    return out


def frame_quality_path(recording: str | Path, loc: str | None) -> Path:
    """Return the path of the table of a recording on this computer."""
    return Path(place_beside(recording, loc, SUFFIX))


def run_table_path(directory: Path, channel: str = "") -> Path:
    """Return the path of the table of a channel in a run directory.

    Examples
    --------
    >>> run_table_path(Path("run")).name, run_table_path(Path("run"), "ch1").name
    ('frames.csv', 'frames.ch1.csv')
    """
    return directory / (f"frames.{channel}.csv" if channel else "frames.csv")


def list_run_tables(directory: Path) -> list[Path]:
    """Return the tables of all channels in a run directory, by name."""
    return sorted([*directory.glob("frames.csv"), *directory.glob("frames.*.csv")])


def write_frame_quality(
    path: str | Path, loc: str | None, table: pd.DataFrame, frames: int | None = None
) -> Place:
    """Store the table of a recording beside it; return its place.

    Parameters
    ----------
    path, loc
        The recording (path or URL), and the dataset in it.
    table
        Columns ``frame``, ``kind``, ``reason``, ``severity``; from `build_frame_table`.
    frames
        Number of frames of the recording; None: ``table.attrs["frames"]``.
    """
    target = place_beside(path, loc, SUFFIX)
    write_table(target, table, frames)
    return target


def write_table(target: Place, table: pd.DataFrame, frames: int | None = None) -> None:
    """Write the table as CSV to any place; readers always see a complete file."""
    require_names(
        COLUMNS, table.columns, "the table of bad frames", error=InvalidValueError
    )
    count = frames if frames is not None else table.attrs.get("frames", -1)
    text = table[list(COLUMNS)].to_csv(index=False, lineterminator="\n")
    write_bytes(target, f"# frames of the recording: {count}\n{text}".encode())


def read_frame_quality(path: str | Path, loc: str | None = None) -> pd.DataFrame | None:
    """Return the table stored beside a recording; None if there is none.

    Parameters
    ----------
    path, loc
        The recording (path or URL), and the dataset in it.

    Returns
    -------
    pandas.DataFrame or None
        ``frame`` int64, ``kind`` str, ``reason`` str, ``severity`` float32 (at least
        0.5: the frame has to be left out); all other frames are good.
        ``attrs["frames"]``: number of frames of the recording, -1 if not known.

    Raises
    ------
    FormatError
        The table cannot be read.
    """
    return read_table(place_beside(path, loc, SUFFIX))


def read_table(source: Place) -> pd.DataFrame | None:
    """Return the table at a place; None if there is none. See `read_frame_quality`."""
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
            f"{source} cannot be read: {error}; remove it: it is then created again"
        ) from error
    return table
