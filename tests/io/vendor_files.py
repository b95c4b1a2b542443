"""Smallest valid files of vendors' formats, written by hand from the formats' published layouts."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def write_czi(path: Path, movie: np.ndarray) -> None:
    """A CZI file of uint16 planes (frame, channel, row, column): file header, metadata, subblocks, directory."""
    frames, channels, rows, columns = movie.shape
    xml = (
        b"<ImageDocument><Metadata><Information><Image><AcquisitionDateAndTime>2024-01-02T03:04:05</AcquisitionDateAndTime>"
        b"<Dimensions><Channels><Channel Name='green'/><Channel Name='red'/></Channels><T><Positions><Interval>"
        b"<Increment>0.25</Increment></Interval></Positions></T></Dimensions></Image></Information><Scaling><Items>"
        b"<Distance Id='X'><Value>2.5e-07</Value></Distance><Distance Id='Y'><Value>5e-07</Value></Distance>"
        b"</Items></Scaling></Metadata></ImageDocument>"
    )

    def segment(name: bytes, data: bytes) -> bytes:
        size = -(-len(data) // 32) * 32
        return struct.pack("<16sqq", name, size, len(data)) + data.ljust(size, b"\0")

    def entry(position: int, t: int, c: int) -> bytes:
        sizes = (("X", 0, columns), ("Y", 0, rows), ("C", c, 1), ("T", t, 1))
        head = struct.pack("<2siqiiBB4si", b"DV", 1, position, 0, 0, 0, 0, b"", len(sizes))
        return head + b"".join(struct.pack("<4siifi", a.encode(), at, n, 0.0, n) for a, at, n in sizes)

    content = segment(b"ZISRAWFILE", bytes(512))
    metadata_at = len(content)
    content += segment(b"ZISRAWMETADATA", struct.pack("<ii", len(xml), 0) + bytes(248) + xml)
    entries = []
    for t in range(frames):
        for c in range(channels):
            pixels = movie[t, c].astype("<u2").tobytes()
            described = entry(len(content), t, c)
            entries.append(described)
            head = struct.pack("<iiq", 0, 0, len(pixels)) + described
            content += segment(b"ZISRAWSUBBLOCK", head.ljust(16 + 240, b"\0") + pixels)
    directory_at = len(content)
    content += segment(b"ZISRAWDIRECTORY", struct.pack("<i", len(entries)).ljust(128, b"\0") + b"".join(entries))
    header = struct.pack(
        "<iiii16s16siqqiq", 1, 0, 0, 0, bytes(16), bytes(16), 0, directory_at, metadata_at, 0, 0
    )  # fmt: skip
    path.write_bytes(content[:32] + header + content[32 + len(header) :])


def write_lif(path: Path, images: dict[str, np.ndarray]) -> None:
    """A LIF file (version 2) of uint16 images (frame, channel, row, column), one memory block each."""
    elements, blocks = "", b""
    for number, (name, movie) in enumerate(images.items()):
        frames, channels, rows, columns = movie.shape
        plane = rows * columns * 2
        described = "".join(
            f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" '
            f'Max="1" Unit="" LUTName="{lut}" IsLUTInverted="0" BytesInc="{i * plane}" BitInc="0"/>'
            for i, lut in zip(range(channels), ("Green", "Red"), strict=False)
        )
        dimensions = "".join(
            f'<DimensionDescription DimID="{i}" NumberOfElements="{n}" Origin="0" Length="{length}" Unit="{unit}" '
            f'BytesInc="{step}" BitInc="0"/>'
            for i, n, length, unit, step in (
                (1, columns, (columns - 1) * 2.5e-7, "m", 2),
                (2, rows, (rows - 1) * 5e-7, "m", columns * 2),
                (4, frames, (frames - 1) * 0.25, "s", plane * channels),
            )
        )
        elements += (
            f'<Element Name="{name}"><Data><Image><ImageDescription><Channels>{described}</Channels><Dimensions>'
            f"{dimensions}</Dimensions></ImageDescription></Image></Data>"
            f'<Memory Size="{movie.size * 2}" MemoryBlockID="MemBlock_{number}"/></Element>'
        )
        block = f"MemBlock_{number}".encode("utf-16-le")
        pixels = movie.astype("<u2").tobytes()
        blocks += (
            struct.pack("<IIBQBI", 0x70, 13 + len(block), 0x2A, len(pixels), 0x2A, len(block) // 2) + block + pixels
        )
    text = (
        f'<LMSDataContainerHeader Version="2"><Element Name="file"><Children>{elements}</Children></Element>'
        "</LMSDataContainerHeader>"
    ).encode("utf-16-le")
    head = struct.pack("<IIBI", 0x70, len(text) + 5, 0x2A, len(text) // 2)
    path.write_bytes(head + text + blocks)
