"""The event table: name, type, unit and meaning of each column, declared once.

The store writes these columns, the analysis reads them, the documentation and the
report describe them from here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from astrocast.errors import DatasetNotFoundError

ColumnType = Literal[
    "int64", "float64", "str", "float32[]", "mask", "footprint", "contours"
]
#: source of a column
ColumnSource = Literal[
    "labels", "mask", "footprint", "trace", "noise", "recording", "detector"
]


@dataclass(frozen=True)
class Column:
    """One column of the event table.

    Parameters
    ----------
    name
        Name in the table.
    dtype
        ``int64``, ``float64`` and ``str`` are scalars; ``float32[]`` is one value per
        frame of the event; ``mask`` is a bool array (dz, dx, dy), ``footprint`` one of
        (dx, dy), ``contours`` a list of float32 arrays (points, 3).
    unit
        Unit of the values; ``signal`` is the unit of the recording that was detected
        on, empty where there is none.
    description
        What it is, in a sentence.
    source
        What it is computed from.
    """

    name: str
    dtype: ColumnType
    unit: str
    description: str
    source: ColumnSource

    @property
    def is_scalar(self) -> bool:
        """Whether the column holds one number or text per event (and goes into CSV)."""
        return self.dtype in ("int64", "float64", "str")

    def to_dict(self) -> dict[str, str]:
        """Return the description as plain text values, for JSON."""
        return asdict(self)


_BOX = (
    Column(
        "z0",
        "int64",
        "frame",
        "First frame of the event, counted from the start of the recording.",
        "labels",
    ),
    Column("z1", "int64", "frame", "Frame after the last one.", "labels"),
    Column("x0", "int64", "px", "First row of the bounding box.", "labels"),
    Column("x1", "int64", "px", "Row after the last one.", "labels"),
    Column("y0", "int64", "px", "First column of the bounding box.", "labels"),
    Column("y1", "int64", "px", "Column after the last one.", "labels"),
    Column("dz", "int64", "frame", "Frames of the bounding box, z1 - z0.", "labels"),
    Column("dx", "int64", "px", "Rows of the bounding box, x1 - x0.", "labels"),
    Column("dy", "int64", "px", "Columns of the bounding box, y1 - y0.", "labels"),
    Column("v_length", "int64", "frame", "Duration of the event, z1 - z0.", "labels"),
    Column(
        "v_diameter",
        "float64",
        "px",
        "Diagonal of the bounding box in space, sqrt(dx² + dy²).",
        "labels",
    ),
    Column(
        "v_area",
        "int64",
        "voxel",
        "Voxels of the event, over all its frames.",
        "labels",
    ),
    Column(
        "v_bbox_pix_num",
        "int64",
        "voxel",
        "Voxels of the bounding box, dz · dx · dy.",
        "labels",
    ),
)

_MASK = (
    Column(
        "v_mask_centroid_local-0",
        "float64",
        "",
        "Mean frame within the box, divided by dz.",
        "mask",
    ),
    Column(
        "v_mask_centroid_local-1",
        "float64",
        "",
        "Mean row within the box, divided by dx.",
        "mask",
    ),
    Column(
        "v_mask_centroid_local-2",
        "float64",
        "",
        "Mean column within the box, divided by dy.",
        "mask",
    ),
    Column(
        "v_mask_axis_major_length",
        "float64",
        "voxel",
        "Longest axis of the ellipsoid of the same second moments.",
        "mask",
    ),
    Column(
        "v_mask_axis_minor_length",
        "float64",
        "voxel",
        "Shortest axis of the ellipsoid of the same second moments.",
        "mask",
    ),
    Column(
        "v_mask_extent",
        "float64",
        "",
        "Share of the bounding box that the event fills.",
        "mask",
    ),
    Column(
        "v_mask_solidity",
        "float64",
        "",
        "Share of its convex hull (frame, row, column) that the event fills.",
        "mask",
    ),
    Column(
        "v_mask_area",
        "float64",
        "voxel",
        "Voxels of the event; none for events of one frame.",
        "mask",
    ),
    Column(
        "v_mask_equivalent_diameter_area",
        "float64",
        "voxel",
        "Diameter of the ball of as many voxels.",
        "mask",
    ),
)

_FOOTPRINT = (
    Column(
        "v_fp_centroid_local-0",
        "float64",
        "",
        "Mean row of the footprint within the box, divided by dx.",
        "footprint",
    ),
    Column(
        "v_fp_centroid_local-1",
        "float64",
        "",
        "Mean column of the footprint within the box, divided by dy.",
        "footprint",
    ),
    Column(
        "v_fp_cx",
        "float64",
        "px",
        "Mean row of the footprint, in the frame.",
        "footprint",
    ),
    Column(
        "v_fp_cy",
        "float64",
        "px",
        "Mean column of the footprint, in the frame.",
        "footprint",
    ),
    Column(
        "v_fp_axis_major_length",
        "float64",
        "px",
        "Major axis of the ellipse of the same second moments.",
        "footprint",
    ),
    Column(
        "v_fp_axis_minor_length",
        "float64",
        "px",
        "Minor axis of the ellipse of the same second moments.",
        "footprint",
    ),
    Column(
        "v_fp_eccentricity",
        "float64",
        "",
        "Eccentricity of that ellipse: 0 round, towards 1 elongated.",
        "footprint",
    ),
    Column(
        "v_fp_equivalent_diameter_area",
        "float64",
        "px",
        "Diameter of the disc of the same area.",
        "footprint",
    ),
    Column(
        "v_fp_extent",
        "float64",
        "",
        "Share of the bounding box in space that the footprint fills.",
        "footprint",
    ),
    Column(
        "v_fp_feret_diameter_max",
        "float64",
        "px",
        "Largest distance between points of its outline.",
        "footprint",
    ),
    Column(
        "v_fp_orientation",
        "float64",
        "rad",
        "Angle between the row axis and the major axis.",
        "footprint",
    ),
    Column(
        "v_fp_perimeter",
        "float64",
        "px",
        "Length of the outline, 4-connected border, diagonals as √2.",
        "footprint",
    ),
    Column(
        "v_fp_solidity",
        "float64",
        "",
        "Share of its convex hull that the footprint fills.",
        "footprint",
    ),
    Column(
        "v_fp_area",
        "float64",
        "px²",
        "Pixels that were part of the event in any frame.",
        "footprint",
    ),
    Column(
        "v_fp_area_convex",
        "float64",
        "px²",
        "Pixels of the convex hull of the footprint.",
        "footprint",
    ),
)

_SIGNAL = (
    Column(
        "v_max_height",
        "float64",
        "signal",
        "Largest minus smallest value of the trace.",
        "trace",
    ),
    Column(
        "v_max_gradient",
        "float64",
        "signal/frame",
        "Largest step of the trace; none for one frame.",
        "trace",
    ),
    Column(
        "v_noise_mask_mean", "float64", "signal", "Mean of the noise trace.", "noise"
    ),
    Column(
        "v_noise_mask_std",
        "float64",
        "signal",
        "Standard deviation of the noise trace.",
        "noise",
    ),
    Column(
        "v_signal_to_noise_ratio",
        "float64",
        "",
        "|height / mean of the noise trace|; none where that is 0.",
        "noise",
    ),
    Column(
        "v_signal_to_noise_ratio_fold",
        "float64",
        "",
        "(height - mean of the noise trace) / its standard deviation; none where that"
        " is 0.",
        "noise",
    ),
)

_ARRAYS = (
    Column(
        "trace",
        "float32[]",
        "signal",
        "Mean over the event's own voxels, per frame.",
        "trace",
    ),
    Column(
        "noise_mask_trace",
        "float32[]",
        "signal",
        "Mean over the voxels of the bounding box that are not the event's own, per"
        " frame; 0 where there are none.",
        "noise",
    ),
    Column(
        "mask",
        "mask",
        "",
        "Which voxels of the bounding box are the event's own, (dz, dx, dy).",
        "mask",
    ),
    Column(
        "footprint",
        "footprint",
        "",
        "Which pixels were part of the event in any frame, (dx, dy).",
        "footprint",
    ),
    Column(
        "contours",
        "contours",
        "px",
        "Outlines of the event per frame, as (frame, row, column) in the recording;"
        " computed from the mask on reading.",
        "mask",
    ),
)

_QUALITY = (
    Column(
        "name",
        "str",
        "",
        "Name of the event: its number, and `<number>_<part>` for a part of a divided"
        " event.",
        "detector",
    ),
    Column(
        "part_of",
        "int64",
        "",
        "Number of the event that was divided into this and other parts; 0 otherwise.",
        "detector",
    ),
    Column(
        "error",
        "int64",
        "",
        "1 where a property could not be computed, else 0.",
        "detector",
    ),
    Column(
        "invalid_voxels",
        "int64",
        "voxel",
        "Voxels of the event that are NaN or infinite in the recording.",
        "recording",
    ),
    Column(
        "bad_frames_share",
        "float64",
        "",
        "Share of the event's frames that motion correction flagged; none where nothing"
        " is known of the frames.",
        "recording",
    ),
)

#: columns of methods of detection whose events may share voxels
OVERLAP_VOXELS = Column(
    "overlap_voxels",
    "int64",
    "voxel",
    "Voxels of the event that other events have as well.",
    "detector",
)
HIDDEN = Column(
    "mask_hidden",
    "mask",
    "",
    "Which of the event's voxels the event map shows as a stronger event's, (dz, dx,"
    " dy).",
    "detector",
)

#: every column of the base table, in order; the index is the event's number in the
#: event map
COLUMNS: tuple[Column, ...] = (
    *_QUALITY[:2],
    *_BOX,
    *_MASK,
    *_FOOTPRINT,
    *_SIGNAL,
    *_QUALITY[2:],
    *_ARRAYS,
)
#: name of the table's index: the event's number in the event map, from 1
INDEX = "event_id"

_BY_NAME = {column.name: column for column in COLUMNS}


def column(name: str) -> Column:
    """Return the description of a column of the base table.

    Examples
    --------
    >>> column("v_length").unit
    'frame'
    """
    if name not in _BY_NAME:
        raise DatasetNotFoundError(
            f"the event table has no column {name!r}; it has {', '.join(_BY_NAME)}"
        )
    return _BY_NAME[name]
