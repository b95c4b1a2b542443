"""Read and write physical metadata of TIFF files: units, OME, resolution tags."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

import tifffile

from astrocast.io.recording import Metadata

#: units of length in micrometres; formats write the micro sign in different ways
MICROMETRES = {
    "m": 1e6,
    "cm": 1e4,
    "mm": 1e3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "\\u00b5m": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
    "inch": 25400.0,
    "pm": 1e-6,
}
#: dtypes of OME-TIFF
OME_DTYPES = (
    "int8",
    "int16",
    "int32",
    "uint8",
    "uint16",
    "uint32",
    "float32",
    "float64",
)
#: units of time in seconds
SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "ms": 1e-3,
    "millisecond": 1e-3,
    "µs": 1e-6,
    "μs": 1e-6,
    "us": 1e-6,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
}


def length(value: Any, unit: Any) -> float | None:
    """Return a length in micrometres; None if it or its unit is unknown."""
    scale = MICROMETRES.get(str(unit or "µm").strip().lower())
    return (
        float(value) * scale
        if value is not None and scale is not None and float(value) > 0
        else None
    )


def rate(interval: Any, unit: Any = "s") -> float | None:
    """Return the frame rate in Hz of a frame interval."""
    scale = SECONDS.get(str(unit or "s").strip().lower())
    return (
        1.0 / (float(interval) * scale)
        if interval and scale and float(interval) > 0
        else None
    )


def pair(rows: float | None, columns: float | None) -> tuple[float, float] | None:
    """Return the pixel size; None if one side is not known."""
    return None if rows is None or columns is None else (rows, columns)


def describe_pixels(
    image: ElementTree.Element, pixels: ElementTree.Element
) -> Metadata:
    """Return the physical metadata of one image of an OME-XML document."""
    get = pixels.attrib.get
    names = [c.attrib.get("Name", "") for c in pixels.findall("{*}Channel")]
    date = image.findtext("{*}AcquisitionDate")
    return Metadata(
        pixel_size=pair(
            length(get("PhysicalSizeY"), get("PhysicalSizeYUnit")),
            length(get("PhysicalSizeX"), get("PhysicalSizeXUnit")),
        ),
        frame_rate=rate(get("TimeIncrement"), get("TimeIncrementUnit")),
        channel_names=tuple(names) if any(names) else (),
        acquisition_time=date.strip() if date else None,
    )


def resolution_tags(
    file: tifffile.TiffFile, unit: str
) -> tuple[float | None, float | None]:
    """Return the size of a pixel (row, column) in micrometres from resolution tags.

    The tags contain pixels per unit, as fractions. One pixel per unit is not a pixel
    size: ImageJ writes it for images without a scale.
    """
    tags = file.pages.first.tags
    sizes: list[float | None] = []
    for name in ("YResolution", "XResolution"):
        tag = tags.get(name)
        if tag is None or not tag.value[0] or not unit:
            return None, None
        sizes.append(tag.value[1] / tag.value[0])
    if sizes == [1.0, 1.0]:
        return None, None
    return length(sizes[0], unit), length(sizes[1], unit)


def centimetres(file: tifffile.TiffFile) -> tuple[float, float] | None:
    """Return the pixel size from resolution tags in centimetres.

    Tags in inches are ignored: they are the resolution for printing.
    """
    unit = file.pages.first.tags.get("ResolutionUnit")
    if unit is None or int(unit.value) != 3:
        return None
    return pair(*resolution_tags(file, "cm"))


def describe_shaped(file: tifffile.TiffFile) -> Metadata:
    """Return the metadata that this package writes into TIFF files without OME-XML."""
    for known in file.shaped_metadata or ():
        if "astrocast" in known:
            return Metadata.from_attributes(json.loads(known["astrocast"]))
    return Metadata()


def date_tag(file: tifffile.TiffFile) -> str | None:
    """Return the date tag as ISO 8601; None if it is missing or not valid."""
    tag = file.pages.first.tags.get("DateTime")
    try:
        return (
            datetime.strptime(str(tag.value), "%Y:%m:%d %H:%M:%S").isoformat()
            if tag is not None
            else None
        )
    except ValueError:  # cameras write dates in many formats
        return None


def description(
    metadata: Metadata, ome_xml: bool, attributes: dict[str, Any]
) -> dict[str, Any]:
    """Return arguments of `tifffile.TiffWriter.write` that store the metadata.

    The metadata are stored as OME-XML, or as JSON if OME does not support the dtype.
    """
    if not ome_xml:
        known = {**attributes, **metadata.to_attributes()}
        return {"metadata": {"axes": "TYX", "astrocast": json.dumps(known)}}
    ome: dict[str, Any] = {"axes": "TYX"}
    if attributes:
        ome["Description"] = json.dumps(attributes)
    arguments: dict[str, Any] = {"metadata": ome}
    if metadata.pixel_size is not None:
        rows, columns = metadata.pixel_size
        ome.update(
            PhysicalSizeX=columns,
            PhysicalSizeXUnit="µm",
            PhysicalSizeY=rows,
            PhysicalSizeYUnit="µm",
        )
        arguments.update(
            resolution=(1e4 / columns, 1e4 / rows), resolutionunit="CENTIMETER"
        )
    if metadata.frame_times:
        times = list(metadata.frame_times)
        ome["Plane"] = {"DeltaT": times, "DeltaTUnit": ["s"] * len(times)}
    if metadata.frame_rate is not None:
        ome.update(TimeIncrement=1.0 / metadata.frame_rate, TimeIncrementUnit="s")
    if metadata.channel_names:
        ome["Channel"] = {"Name": list(metadata.channel_names)[:1]}
    if metadata.acquisition_time is not None:
        ome["AcquisitionDate"] = metadata.acquisition_time
    return arguments
