"""The event table: name, type, unit and meaning of each column, declared once.

The store writes these columns, the analysis reads them; the documentation and the
report use the descriptions below.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from astrocast.events.required import require_names

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
        frame of the event; ``mask`` is a bool array (dz, dx, dy), ``footprint`` a bool
        array (dx, dy), ``contours`` a list of float32 arrays (points, 3).
    unit
        Unit of the values, empty if they have none; ``signal`` is the unit of the
        recording in which events were detected.
    description
        Meaning, in a sentence.
    source
        Data from which the column is computed.
    """

    name: str
    dtype: ColumnType
    unit: str
    description: str
    source: ColumnSource

    @property
    def is_scalar(self) -> bool:
        """Whether the column has one number or text per event (and is part of CSV)."""
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
        "Longest axis of the ellipsoid with the same second moments.",
        "mask",
    ),
    Column(
        "v_mask_axis_minor_length",
        "float64",
        "voxel",
        "Shortest axis of the ellipsoid with the same second moments.",
        "mask",
    ),
    Column(
        "v_mask_extent",
        "float64",
        "",
        "Voxels of the event divided by voxels of the bounding box.",
        "mask",
    ),
    Column(
        "v_mask_solidity",
        "float64",
        "",
        "Voxels of the event divided by voxels of its convex hull in (frame, row,"
        " column).",
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
        "Diameter of the sphere with the same number of voxels.",
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
        "Major axis of the ellipse with the same second moments.",
        "footprint",
    ),
    Column(
        "v_fp_axis_minor_length",
        "float64",
        "px",
        "Minor axis of the ellipse with the same second moments.",
        "footprint",
    ),
    Column(
        "v_fp_eccentricity",
        "float64",
        "",
        "Eccentricity of the ellipse with the same second moments: 0 round, near 1"
        " elongated.",
        "footprint",
    ),
    Column(
        "v_fp_equivalent_diameter_area",
        "float64",
        "px",
        "Diameter of the disc with the same area.",
        "footprint",
    ),
    Column(
        "v_fp_extent",
        "float64",
        "",
        "Area of the footprint divided by the area of the bounding box.",
        "footprint",
    ),
    Column(
        "v_fp_feret_diameter_max",
        "float64",
        "px",
        "Largest distance between two points of the outline of the footprint.",
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
        "Length of the outline of the footprint (4-connected border; diagonal steps"
        " count as √2).",
        "footprint",
    ),
    Column(
        "v_fp_solidity",
        "float64",
        "",
        "Area of the footprint divided by the area of its convex hull.",
        "footprint",
    ),
    Column(
        "v_fp_area",
        "float64",
        "px²",
        "Pixels that belong to the event in any frame.",
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
        "Largest change of the trace between two frames; none for events of one frame.",
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
        "|height / mean of the noise trace|; none if the mean is 0.",
        "noise",
    ),
    Column(
        "v_signal_to_noise_ratio_fold",
        "float64",
        "",
        "(height - mean of the noise trace) / standard deviation of the noise trace;"
        " none if the standard deviation is 0.",
        "noise",
    ),
)

_ARRAYS = (
    Column(
        "trace",
        "float32[]",
        "signal",
        "Mean over the voxels of the event, per frame.",
        "trace",
    ),
    Column(
        "noise_mask_trace",
        "float32[]",
        "signal",
        "Mean over the voxels of the bounding box outside the event, per frame; 0 if"
        " there are none.",
        "noise",
    ),
    Column(
        "mask",
        "mask",
        "",
        "True for voxels of the bounding box that belong to the event, (dz, dx, dy).",
        "mask",
    ),
    Column(
        "footprint",
        "footprint",
        "",
        "True for pixels that belong to the event in any frame, (dx, dy).",
        "footprint",
    ),
    Column(
        "contours",
        "contours",
        "px",
        "Outlines of the event in each frame, as (frame, row, column) in the recording;"
        " computed from the mask when the table is read.",
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
        "Number of the event that was divided, if this event is a part of it; else 0.",
        "detector",
    ),
    Column(
        "error",
        "int64",
        "",
        "1 if a property could not be computed, else 0.",
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
        "Fraction of the event's frames that are marked as bad; none if the quality of"
        " frames is unknown.",
        "recording",
    ),
)

#: columns of methods of detection whose events may share voxels
OVERLAP_VOXELS = Column(
    "overlap_voxels",
    "int64",
    "voxel",
    "Voxels of the event that also belong to other events.",
    "detector",
)
HIDDEN = Column(
    "mask_hidden",
    "mask",
    "",
    "True for voxels of the event at which the event map shows a stronger event, (dz,"
    " dx, dy).",
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
    require_names([name], _BY_NAME, "the event table")
    return _BY_NAME[name]
