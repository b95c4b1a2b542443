"""Read the description of a Bruker (PrairieView) recording, beside its TIFF files."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from astrocast.io.recording import Metadata


def find_prairie_xml(path: Path) -> ElementTree.Element | None:
    """Return the description of the recording that a TIFF file belongs to.

    ``TSeries-01.xml`` describes ``TSeries-01_Cycle00001_Ch2_000001.ome.tif``.
    """
    for candidate in sorted(path.parent.glob("*.xml")):
        if path.name.startswith(candidate.stem):
            try:
                root = ElementTree.parse(candidate).getroot()
            except ElementTree.ParseError:  # a file of another program
                continue
            if root.tag == "PVScan":
                return root
    return None


def describe_prairie(root: ElementTree.Element, frames: int) -> Metadata:
    """Return the physical metadata of a PVScan document.

    Parameters
    ----------
    root
        The document.
    frames
        Number of frames of the recording; times are used only if their number is equal.
    """
    period = root.find(".//PVStateValue[@key='framePeriod']")
    axes = root.find(".//PVStateValue[@key='micronsPerPixel']")
    sizes = {
        v.attrib.get("index", ""): float(v.attrib.get("value", 0))
        for v in (axes if axes is not None else ())
    }
    seconds = float(period.attrib.get("value", 0)) if period is not None else 0.0
    metadata = Metadata(
        pixel_size=(
            (sizes["YAxis"], sizes["XAxis"])
            if sizes.get("YAxis") and sizes.get("XAxis")
            else None
        ),
        frame_rate=1.0 / seconds if seconds > 0 else None,
        acquisition_time=root.attrib.get("date"),
    )
    times = [
        float(f.attrib["absoluteTime"])
        for f in root.iterfind(".//Frame")
        if "absoluteTime" in f.attrib
    ]
    return metadata.with_times(times) if len(times) == frames else metadata
