"""Export a recording and its events as Neurodata Without Borders (NWB)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd

from astrocast.errors import InvalidValueError, MissingExtraError
from astrocast.events.array_columns import TraceArray, as_masks
from astrocast.events.schema import COLUMNS, Column
from astrocast.io.export.tables import scalars, write_whole
from astrocast.io.recording import Metadata, Recording
from astrocast.kernels.masks.packed_masks import unpack_mask

#: columns that are left out, because standard columns of NWB contain them
_ELSEWHERE = ("t0", "t1", "dt")


@dataclass(frozen=True)
class Session:
    """Properties of an experiment that NWB requires and a recording does not contain.

    Parameters
    ----------
    description
        Description of the experiment.
    start
        Start of the recording, with a time zone; None: the acquisition time in the
        recording, or else the current time.
    indicator, location
        Fluorescent indicator, and location in the brain.
    excitation_lambda, emission_lambda
        Wavelengths in nm; NaN: not known.
    subject
        Fields of `pynwb.file.Subject`, such as ``subject_id``, ``species``, ``sex``,
        ``age``; None: no subject.
    """

    description: str = "calcium imaging of astrocytes"
    start: datetime | None = None
    indicator: str = "unknown"
    location: str = "unknown"
    excitation_lambda: float = float("nan")
    emission_lambda: float = float("nan")
    subject: Mapping[str, Any] | None = None


def write_nwb(
    path: Path,
    table: pd.DataFrame,
    recording: Recording | None,
    metadata: Metadata,
    *,
    frame_shape: tuple[int, int],
    session: Session | None = None,
    described: Iterable[Column] = COLUMNS,
    overwrite: bool = False,
) -> Path:
    """Write recording, footprints (plane segmentation) and events as NWB.

    Parameters
    ----------
    path
        ``.nwb`` file.
    table
        Events with ``mask``, ``z0``, ``z1``, ``x0``, ``y0``; all traces, numbers and
        texts are written.
    recording
        The recording, written chunk by chunk; None: not written.
    metadata
        Pixel size and frame rate. Without a frame rate, times are frame numbers (1 Hz),
        with a note in the file.
    frame_shape
        Rows and columns of the recording.
    session
        Properties of the experiment.
    described
        Descriptions of the columns.
    overwrite
        Whether an existing file is replaced.
    """
    try:
        import pynwb
    except ImportError as error:
        raise MissingExtraError("pynwb", "export", "writing NWB") from error
    session = session or Session()
    file = pynwb.NWBFile(
        session_description=session.description,
        identifier=str(uuid4()),
        session_start_time=_start(session, metadata),
        notes=(
            ""
            if metadata.frame_rate
            else "The frame rate is not known: times are frame numbers, as if at 1 Hz."
        ),
    )
    if session.subject is not None:
        file.subject = pynwb.file.Subject(**session.subject)
    plane = _plane(file, session, metadata)
    if recording is not None:
        file.add_acquisition(_series(recording, plane, metadata))
    module = file.create_processing_module("ophys", "events found by astrocast")
    regions = _segmentation(module, plane, table, frame_shape)
    module.add(_events(table, regions, metadata, {c.name: c for c in described}))

    def write(to: Path) -> None:
        with pynwb.NWBHDF5IO(to, "w") as io:
            io.write(file)

    return write_whole(path, write, overwrite)


def _start(session: Session, metadata: Metadata) -> datetime:
    start = session.start
    if start is None and metadata.acquisition_time:
        try:
            start = datetime.fromisoformat(metadata.acquisition_time)
        except ValueError as error:
            raise InvalidValueError(
                f"the acquisition time {metadata.acquisition_time!r} is not ISO 8601;"
                " set the start with Session(start=...)"
            ) from error
    start = start or datetime.now(UTC)
    return start if start.tzinfo else start.replace(tzinfo=UTC)


def _plane(file: Any, session: Session, metadata: Metadata) -> Any:
    from pynwb.ophys import OpticalChannel

    channel = OpticalChannel(
        name="channel",
        description="channel of the indicator",
        emission_lambda=session.emission_lambda,
    )
    spacing: dict[str, Any] = {}
    if metadata.pixel_size:
        rows, columns = metadata.pixel_size
        spacing = {
            "grid_spacing": [columns * 1e-6, rows * 1e-6],
            "grid_spacing_unit": "meters",
        }
    return file.create_imaging_plane(
        name="ImagingPlane",
        optical_channel=channel,
        description="imaged plane",
        device=file.create_device(name="Microscope", description="microscope"),
        excitation_lambda=session.excitation_lambda,
        indicator=session.indicator,
        location=session.location,
        imaging_rate=float(metadata.frame_rate or 1.0),
        **spacing,
    )


def _series(recording: Recording, plane: Any, metadata: Metadata) -> Any:
    from hdmf.backends.hdf5 import H5DataIO
    from hdmf.data_utils import DataChunkIterator
    from pynwb.ophys import TwoPhotonSeries

    # the axes of NWB are (frame, x, y) = (frame, column, row)
    frames = (frame.T for _, block in recording.blocks(32) for frame in block)
    shape = (recording.shape[0], recording.shape[2], recording.shape[1])
    data = DataChunkIterator(
        data=frames, maxshape=shape, dtype=recording.dtype, buffer_size=16
    )
    return TwoPhotonSeries(
        name="Recording",
        data=H5DataIO(data, compression="gzip", compression_opts=1),
        imaging_plane=plane,
        rate=float(metadata.frame_rate or 1.0),
        unit="n.a.",
    )


def _segmentation(
    module: Any, plane: Any, table: pd.DataFrame, frame_shape: tuple[int, int]
) -> Any:
    from pynwb.ophys import ImageSegmentation

    held = ImageSegmentation()
    module.add(held)
    regions = held.create_plane_segmentation(
        name="Footprints",
        description="pixels of each event in any of its frames",
        imaging_plane=plane,
    )
    masks = as_masks(table["mask"]).masks
    origins = table[["x0", "y0"]].to_numpy(np.int64)
    for i in range(len(table)):
        row, column = (np.argwhere(unpack_mask(masks, i).any(axis=0)) + origins[i]).T
        inside = (row < frame_shape[0]) & (column < frame_shape[1])
        pixels = [
            (int(x), int(y), 1.0)
            for x, y in zip(column[inside], row[inside], strict=True)
        ]
        regions.add_roi(pixel_mask=pixels)
    return regions


def _events(
    table: pd.DataFrame,
    regions: Any,
    metadata: Metadata,
    described: Mapping[str, Column],
) -> Any:
    """Return the events as time intervals, with all columns of the table."""
    from pynwb.core import VectorIndex
    from pynwb.epoch import TimeIntervals

    columns = [
        *_interval_columns(table, regions, float(metadata.frame_rate or 1.0)),
        *_scalar_columns(table, described),
        *_trace_columns(table, described),
    ]
    return TimeIntervals(
        name="Events",
        description="calcium events",
        columns=columns,
        colnames=[c.name for c in columns if not isinstance(c, VectorIndex)],
    )


def _interval_columns(table: pd.DataFrame, regions: Any, rate: float) -> list[Any]:
    """Return times, number and footprint of each event."""
    from pynwb.core import DynamicTableRegion, VectorData

    start, stop = (table[z].to_numpy(np.float64) / rate for z in ("z0", "z1"))
    return [
        VectorData(
            name="start_time",
            description="Start of the first frame, in seconds.",
            data=start,
        ),
        VectorData(
            name="stop_time",
            description="End of the last frame, in seconds.",
            data=stop,
        ),
        VectorData(
            name="event",
            description="Index of the event.",
            data=[str(i) for i in table.index],
        ),
        DynamicTableRegion(
            name="footprint_region",
            description="Footprint of the event.",
            data=list(range(len(table))),
            table=regions,
        ),
    ]


def _scalar_columns(
    table: pd.DataFrame, described: Mapping[str, Column]
) -> Iterator[Any]:
    """Yield the columns of numbers and texts."""
    from pynwb.core import VectorData
    from pynwb.epoch import TimeIntervals

    for name, column in scalars(table).items():
        if str(name) in _ELSEWHERE:
            continue
        numeric = pd.api.types.is_numeric_dtype(column.dtype)
        values = (
            column.to_numpy(np.float64)
            if numeric
            else ["" if v is None or v != v else str(v) for v in column]
        )
        # attributes of NWB tables, such as `name`, cannot be names of columns
        title = f"event_{name}" if hasattr(TimeIntervals, str(name)) else str(name)
        yield VectorData(
            name=title, description=_meaning(described, str(name)), data=values
        )


def _trace_columns(
    table: pd.DataFrame, described: Mapping[str, Column]
) -> Iterator[Any]:
    """Yield each column of traces: the ends of the traces, then all their values."""
    from pynwb.core import VectorData, VectorIndex

    for name, column in table.items():
        if isinstance(column.array, TraceArray):
            held = VectorData(
                name=str(name),
                description=_meaning(described, str(name)),
                data=column.array.flat,
            )
            yield VectorIndex(
                name=f"{name}_index", target=held, data=column.array.offsets[1:]
            )
            yield held


def _meaning(described: Mapping[str, Column], name: str) -> str:
    if name not in described:
        return name
    found = described[name]
    return f"{found.description} [{found.unit}]" if found.unit else found.description
