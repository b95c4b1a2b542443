"""Smallest valid files of vendors' formats, written by hand from the formats' published
layouts.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def write_czi(
    path: Path,
    movie: np.ndarray,
    times: np.ndarray | None = None,
    axis: str = "S",
) -> None:
    """A CZI file of uint16 planes (frame, channel, row, column): file header, metadata,
    subblocks, directory.

    A fifth axis before those is one of scenes (``axis`` S) or planes (Z); ``times``
    are the seconds of the frames.
    """
    several = movie[None] if movie.ndim == 4 else movie
    rows, columns = several.shape[-2:]
    xml = (
        b"<ImageDocument><Metadata><Information><Image><AcquisitionDateAndTime>2024-01-02T03:04:05</AcquisitionDateAndTime>"
        b"<Dimensions><Channels><Channel Name='green'/><Channel"
        b" Name='red'/></Channels><T><Positions><Interval>"
        b"<Increment>0.25</Increment></Interval></Positions></T></Dimensions></Image></Information><Scaling><Items>"
        b"<Distance Id='X'><Value>2.5e-07</Value></Distance><Distance"
        b" Id='Y'><Value>5e-07</Value></Distance>"
        b"</Items></Scaling></Metadata></ImageDocument>"
    )

    def segment(name: bytes, data: bytes) -> bytes:
        size = -(-len(data) // 32) * 32
        return struct.pack("<16sqq", name, size, len(data)) + data.ljust(size, b"\0")

    def entry(position: int, t: int, c: int, s: int) -> bytes:
        sizes = (("X", 0, columns), ("Y", 0, rows), ("C", c, 1), ("T", t, 1))
        sizes += ((axis, s, 1),) if movie.ndim == 5 else ()
        head = struct.pack(
            "<2siqiiBB4si", b"DV", 1, position, 0, 0, 0, 0, b"", len(sizes)
        )
        return head + b"".join(
            struct.pack("<4siifi", a.encode(), at, n, 0.0, n) for a, at, n in sizes
        )

    content = segment(b"ZISRAWFILE", bytes(512))
    metadata_at = len(content)
    content += segment(
        b"ZISRAWMETADATA", struct.pack("<ii", len(xml), 0) + bytes(248) + xml
    )
    entries = []
    for s, t, c in np.ndindex(*several.shape[:3]):
        pixels = several[s, t, c].astype("<u2").tobytes()
        described = entry(len(content), t, c, s)
        entries.append(described)
        head = struct.pack("<iiq", 0, 0, len(pixels)) + described
        content += segment(b"ZISRAWSUBBLOCK", head.ljust(16 + 240, b"\0") + pixels)
    attached_at = 0
    if times is not None:
        stamps = struct.pack("<ii", 8 + 8 * len(times), len(times))
        stamps += np.asarray(times, "<f8").tobytes()
        named = struct.pack(
            "<2s10sqi16s8s80s",
            b"A1",
            b"",
            len(content),
            0,
            bytes(16),
            b"CZTIMS",
            b"TimeStamps",
        )
        head = struct.pack("<ii8s", len(stamps), 0, b"") + named
        content += segment(b"ZISRAWATTACH", head.ljust(256, b"\0") + stamps)
        attached_at = len(content)
        listed = struct.pack("<i", 1).ljust(256, b"\0") + named
        content += segment(b"ZISRAWATTDIR", listed)
    directory_at = len(content)
    content += segment(
        b"ZISRAWDIRECTORY",
        struct.pack("<i", len(entries)).ljust(128, b"\0") + b"".join(entries),
    )
    header = struct.pack(
        "<iiii16s16siqqiq",
        1,
        0,
        0,
        0,
        bytes(16),
        bytes(16),
        0,
        directory_at,
        metadata_at,
        0,
        attached_at,
    )
    path.write_bytes(content[:32] + header + content[32 + len(header) :])


def write_lif(
    path: Path, images: dict[str, np.ndarray], times: np.ndarray | None = None
) -> None:
    """A LIF file (version 2) of uint16 images (frame, channel, row, column), one memory
    block each; ``times`` are the seconds of the planes.
    """
    stamps = ""
    if times is not None:
        ticks = [int(133_000_000_000_000_000 + 1e7 * t) for t in times]
        listed = " ".join(f"{t:x}" for t in ticks)
        stamps = (
            f'<TimeStampList NumberOfTimeStamps="{len(ticks)}">{listed}</TimeStampList>'
        )
    elements, blocks = "", b""
    for number, (name, movie) in enumerate(images.items()):
        frames, channels, rows, columns = movie.shape
        plane = rows * columns * 2
        described = "".join(
            '<ChannelDescription DataType="0" ChannelTag="0" Resolution="16"'
            f' NameOfMeasuredQuantity="" Min="0" Max="1" Unit="" LUTName="{lut}"'
            f' IsLUTInverted="0" BytesInc="{i * plane}" BitInc="0"/>'
            for i, lut in zip(range(channels), ("Green", "Red"), strict=False)
        )
        dimensions = "".join(
            f'<DimensionDescription DimID="{i}" NumberOfElements="{n}" Origin="0"'
            f' Length="{length}" Unit="{unit}" BytesInc="{step}" BitInc="0"/>'
            for i, n, length, unit, step in (
                (1, columns, (columns - 1) * 2.5e-7, "m", 2),
                (2, rows, (rows - 1) * 5e-7, "m", columns * 2),
                (4, frames, (frames - 1) * 0.25, "s", plane * channels),
            )
        )
        elements += (
            "<Element"
            f' Name="{name}"><Data><Image><ImageDescription>'
            f"<Channels>{described}</Channels><Dimensions>{dimensions}</Dimensions>"
            f"</ImageDescription>{stamps}</Image></Data><Memory"
            f' Size="{movie.size * 2}" MemoryBlockID="MemBlock_{number}"/></Element>'
        )
        block = f"MemBlock_{number}".encode("utf-16-le")
        pixels = movie.astype("<u2").tobytes()
        blocks += (
            struct.pack(
                "<IIBQBI",
                0x70,
                13 + len(block),
                0x2A,
                len(pixels),
                0x2A,
                len(block) // 2,
            )
            + block
            + pixels
        )
    text = (
        '<LMSDataContainerHeader Version="2"><Element'
        f' Name="file"><Children>{elements}</Children></Element>'
        "</LMSDataContainerHeader>"
    ).encode("utf-16-le")
    head = struct.pack("<IIBI", 0x70, len(text) + 5, 0x2A, len(text) // 2)
    path.write_bytes(head + text + blocks)


def write_nd2(
    path: Path,
    movie: np.ndarray,
    announced: int | None = None,
    absent: tuple[int, ...] = (),
    times: np.ndarray | None = None,
) -> None:
    """An ND2 file (version 2.1) of uint16 frames (frame, channel, row, column), laid
    out as the nd2 package reads it.

    ``announced`` is the number of frames the experiment was set up for, ``absent`` are
    frames that are not there, and ``times`` the milliseconds of each frame."""
    frames, channels, rows, columns = movie.shape
    number = {int: "lx_uint32", float: "double", bool: "bool", str: "CLxStringW"}

    def xml(name: str, value: object) -> str:
        if isinstance(value, dict):
            inner = "".join(xml(*item) for item in value.items())
            return f"<{name} runtype='CLxListVariant'>{inner}</{name}>"
        return f"<{name} runtype='{number[type(value)]}' value='{value}'/>"

    def variant(values: dict[str, object]) -> bytes:
        return f"<variant version='1.0'>{xml('no_name', values)}</variant>".encode()

    probe = {
        "m_ExcitationSpectrum": {
            "uiCount": 1,
            "pPoint": {"Point0": {"dTValue": 1.0, "dWavelength": 488.0}},
        }
    }
    planes = {
        f"a{i}": {"sDescription": name, "uiCompCount": 1, "pFluorescentProbe": probe}
        for i, name in zip(range(channels), ("green", "red"), strict=False)
    }
    described = {
        b"ImageAttributes!": {
            "uiWidth": columns,
            "uiWidthBytes": columns * channels * 2,
            "uiHeight": rows,
            "uiComp": channels,
            "uiBpcInMemory": 16,
            "uiBpcSignificant": 16,
            "uiSequenceCount": frames - len(absent),
            "eCompression": 2,
        },
        b"ImageMetadataSeq|0!": {
            "bCalibrated": True,
            "dCalibration": 0.25,
            "sPicturePlanes": {"uiCount": channels, "sPlaneNew": planes},
        },
        b"ImageMetadata!": {
            "eType": 1,
            "uLoopPars": {
                "uiCount": announced or frames,
                "dStart": 0.0,
                "dPeriod": 250.0 if times is None else 0.0,
                "dDuration": 250.0 * frames,
            },
        },
        b"ImageTextInfo!": {"TextInfoItem_9": "2/1/2024  3:04:05 AM"},
    }

    def chunk(name: bytes, data: bytes, reserve: int = 4072) -> bytes:
        return (
            struct.pack("<IIQ", 0x0ABECEDA, reserve, len(data))
            + name.ljust(reserve, b"\0")
            + data
        )

    content = chunk(b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver2.1".ljust(64, b"\0"), 32)
    places = b""
    chunks = {name: variant(values) for name, values in described.items()}
    for i in range(frames):
        if i not in absent:
            # channels of a pixel lie beside each other; 8 bytes before them hold the
            # time
            pixels = (
                np.ascontiguousarray(movie[i].transpose(1, 2, 0))
                .astype("<u2")
                .tobytes()
            )
            chunks[f"ImageDataSeq|{i}!".encode()] = (
                struct.pack("<d", 250.0 * i if times is None else times[i]) + pixels
            )
    for name, data in chunks.items():
        places += name + struct.pack("<QQ", len(content), len(data))
        content += chunk(name, data)
    signature = b"ND2 CHUNK MAP SIGNATURE 0000001!"
    places += signature
    at = len(content)
    content += chunk(
        b"ND2 FILEMAP SIGNATURE NAME 0001!", places + struct.pack("<Q", at)
    )
    path.write_bytes(content)
