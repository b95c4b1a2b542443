"""Physical metadata in the dialects of TIFF: OME, ImageJ, ScanImage, and what this
package writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from tifffile.tifffile import matlabstr2py

from astrocast.io.recording import Metadata

#: micrometres in a unit of length; formats disagree on how to write the micro sign
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
#: what OME-TIFF can hold
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
#: seconds in a unit of time
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


def read_metadata(file: tifffile.TiffFile, channels: int) -> Metadata:
    """Return what the file says, in the first dialect that it speaks."""
    readers: list[tuple[bool, Callable[[tifffile.TiffFile, int], dict[str, Any]]]] = [
        (file.is_ome, _from_ome),
        (file.is_scanimage, _from_scanimage),
        (file.is_imagej, _from_imagej),
        (file.is_shaped, _from_shaped),
    ]
    found: dict[str, Any] = {}
    for speaks, read in readers:
        if speaks:
            found = read(file, channels)
            break
    if "acquisition_time" not in found:
        found["acquisition_time"] = _date_tag(file)
    return Metadata(**{k: v for k, v in found.items() if v is not None})


def length(value: Any, unit: Any) -> float | None:
    """Return a length in micrometres; None when it is missing or its unit is unknown."""
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
    """Return a pixel size when both sides are known."""
    return None if rows is None or columns is None else (rows, columns)


def parse_ome(xml: str) -> dict[str, Any]:
    """Return the metadata of the first image of an OME-XML document."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:  # damaged metadata is no reason to refuse the frames
        return {}
    image = root.find(".//{*}Image")
    pixels = root.find(".//{*}Image/{*}Pixels")
    if image is None or pixels is None:
        return {}
    get = pixels.attrib.get
    names = [c.attrib.get("Name", "") for c in pixels.findall("{*}Channel")]
    date = image.findtext("{*}AcquisitionDate")
    return {
        "pixel_size": pair(
            length(get("PhysicalSizeY"), get("PhysicalSizeYUnit")),
            length(get("PhysicalSizeX"), get("PhysicalSizeXUnit")),
        ),
        "frame_rate": rate(get("TimeIncrement"), get("TimeIncrementUnit")),
        "channel_names": tuple(names) if any(names) else (),
        "acquisition_time": date.strip() if date else None,
    }


def _from_ome(file: tifffile.TiffFile, channels: int) -> dict[str, Any]:
    return parse_ome(file.ome_metadata or "")


def _from_imagej(file: tifffile.TiffFile, channels: int) -> dict[str, Any]:
    known = file.imagej_metadata or {}
    labels = [str(label) for label in known.get("Labels", [])][:channels]
    fps = (
        float(known["fps"])
        if known.get("fps")
        else rate(known.get("finterval"), known.get("tunit", "s"))
    )
    return {
        "pixel_size": _resolution(file, str(known.get("unit", ""))),
        "frame_rate": fps,
        "channel_names": (
            tuple(labels) if channels > 1 and len(labels) == channels else ()
        ),
    }


def _resolution(file: tifffile.TiffFile, unit: str) -> tuple[float, float] | None:
    """Return the pixel size of ImageJ: pixels per unit as fractions, the unit in its
    description.
    """
    tags = file.pages.first.tags
    sizes = []
    for name in ("YResolution", "XResolution"):
        tag = tags.get(name)
        if tag is None or not tag.value[0] or not unit:
            return None
        sizes.append(length(tag.value[1] / tag.value[0], unit))
    return pair(*sizes)


def _from_scanimage(file: tifffile.TiffFile, channels: int) -> dict[str, Any]:
    frame = scanimage_settings(file)
    fps = frame.get("SI.hRoiManager.scanFrameRate")
    names = frame.get("SI.hChannels.channelName")
    used = [i - 1 for i in scanimage_channels(file)]
    return {
        "frame_rate": float(fps) if fps else None,
        "channel_names": (
            tuple(str(names[i]) for i in used)
            if isinstance(names, list) and used
            else ()
        ),
        "pixel_size": _centimetres(file),
        "acquisition_time": _scanimage_epoch(file.pages.first.description),
    }


def scanimage_settings(file: tifffile.TiffFile) -> dict[str, Any]:
    """Return the settings of ScanImage: from the file's header, its software tag, or
    the first page's description.
    """
    found: dict[str, Any] = (file.scanimage_metadata or {}).get("FrameData") or {}
    page = file.pages.first
    for text in (page.software, page.description):
        if not found and "SI." in text:
            found = dict(matlabstr2py(text.replace("scanimage.SI.", "SI.")))
    return found


def scanimage_channels(file: tifffile.TiffFile) -> list[int]:
    """Return the numbers of the channels that were saved, counted from 1."""
    saved = scanimage_settings(file).get("SI.hChannels.channelSave")
    return [int(i) for i in np.ravel(saved)] if isinstance(saved, (int, list)) else []


def _centimetres(file: tifffile.TiffFile) -> tuple[float, float] | None:
    """Return the pixel size of resolution tags in centimetres, which ScanImage writes
    (inches are a printer's).
    """
    unit = file.pages.first.tags.get("ResolutionUnit")
    return (
        _resolution(file, "cm") if unit is not None and int(unit.value) == 3 else None
    )


def _scanimage_epoch(text: str) -> str | None:
    numbers = re.search(r"epoch\s*=\s*\[([^\]]+)\]", text)
    values = (
        [float(v) for v in re.split(r"[,\s]+", numbers[1].strip())] if numbers else []
    )
    if len(values) != 6:
        return None
    year, month, day, hour, minute, second = values
    whole = datetime(
        int(year), int(month), int(day), int(hour), int(minute), int(second)
    )
    return whole.replace(microsecond=round((second % 1) * 1e6) % 1_000_000).isoformat()


def _from_shaped(file: tifffile.TiffFile, channels: int) -> dict[str, Any]:
    for known in file.shaped_metadata or ():
        if "astrocast" in known:
            return dict(vars(Metadata.from_attributes(json.loads(known["astrocast"]))))
    return {}


def _date_tag(file: tifffile.TiffFile) -> str | None:
    tag = file.pages.first.tags.get("DateTime")
    try:
        return (
            datetime.strptime(str(tag.value), "%Y:%m:%d %H:%M:%S").isoformat()
            if tag is not None
            else None
        )
    except (
        ValueError
    ):  # cameras write dates in many ways; one that cannot be read is as good as none
        return None


def description(
    metadata: Metadata, ome_xml: bool, attributes: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of `tifffile.TiffWriter.write` that store the metadata, as
    OME or as plain JSON.
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
    if metadata.frame_rate is not None:
        ome.update(TimeIncrement=1.0 / metadata.frame_rate, TimeIncrementUnit="s")
    if metadata.channel_names:
        ome["Channel"] = {"Name": list(metadata.channel_names)[:1]}
    if metadata.acquisition_time is not None:
        ome["AcquisitionDate"] = metadata.acquisition_time
    return arguments
