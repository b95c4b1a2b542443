"""NumPy files; their metadata are in a separate JSON file, ``<name>.npy.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from astrocast.errors import FormatError, InvalidValueError
from astrocast.io.formats.axes import read_layout
from astrocast.io.formats.axes_recording import AxesRecording, find_axes
from astrocast.io.formats.contiguous import ContiguousRecording
from astrocast.io.recording import Metadata, Recording, check_movie_shape
from astrocast.io.selection import Selection
from astrocast.io.writing.files import (
    Replacement,
    SequentialWriter,
    check_space,
    open_for_writing,
    replacing,
)


def sidecar(path: Path) -> Path:
    """Return the path of the metadata of a NumPy file."""
    return path.with_name(path.name + ".json")


def open_npy(
    path: Path, loc: str | None = None, selection: Selection | None = None
) -> Recording:
    """Open a ``.npy`` file without reading its frames."""
    chosen = selection or Selection()
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            if version not in read_header:
                raise FormatError(
                    f"{path} has version {version} of the NumPy format; expected 1.0 or"
                    " 2.0. Save it again"
                )
            shape, fortran, dtype = read_header[version](file)
            offset = file.tell()
    except (ValueError, OSError) as error:
        raise FormatError(f"{path} cannot be read as a NumPy file: {error}") from error
    if dtype.hasobject:
        raise FormatError(f"{path} contains Python objects; expected numbers")
    metadata = Metadata()
    if sidecar(path).exists():
        metadata = Metadata.from_attributes(
            json.loads(sidecar(path).read_text(encoding="utf-8"))
        )
    if len(shape) < 3:
        check_movie_shape(shape, str(path))
    axes = find_axes(len(shape), shape, chosen, str(path))
    if axes == "TYX" and not fortran:
        read_layout(axes, shape, str(path), chosen)
        shape = check_movie_shape(shape, str(path))
        return ContiguousRecording(path, offset, shape, dtype, metadata)
    order: Literal["F", "C"] = "F" if fortran else "C"
    array = np.memmap(path, dtype, "r", offset, shape, order)
    return AxesRecording(array, axes, chosen, metadata, path)


class NpyWriter(SequentialWriter):
    """Write a ``.npy`` file."""

    def __init__(
        self,
        path: Path,
        loc: str | None,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        **options: Any,
    ):
        if options.get("compression"):
            raise InvalidValueError(
                ".npy files cannot be compressed; leave compression out, or write .h5"
            )
        new = Replacement(
            path, overwrite=options.get("overwrite", False), durable=False
        )
        check_space(
            path.parent, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, path
        )
        file = open_for_writing(new.beside)
        np.lib.format.write_array_header_1_0(
            file,
            {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": tuple(shape),
            },
        )
        super().__init__(new, file, shape, dtype)
        self._attributes = {**(options.get("attributes") or {})}
        self._attributes.update((options.get("metadata") or Metadata()).to_attributes())

    def commit(self) -> None:
        """Rename the file, and write its metadata."""
        super().commit()
        if self._attributes:
            text = json.dumps(self._attributes, indent=1) + "\n"
            with replacing(sidecar(self.path)) as beside:
                beside.write_text(text, encoding="utf-8")
        else:
            sidecar(self.path).unlink(missing_ok=True)
