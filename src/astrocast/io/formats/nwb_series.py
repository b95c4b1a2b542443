"""Read imaging series of NWB files (`TwoPhotonSeries`, `OnePhotonSeries`) with h5py."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from astrocast.errors import FormatError
from astrocast.io.formats.hdf5 import HDF5Recording
from astrocast.io.recording import Metadata
from astrocast.io.selection import Selection

SERIES = ("TwoPhotonSeries", "OnePhotonSeries")


class NwbRecording(HDF5Recording):
    """An imaging series of an NWB file, ``acquisition/<name>``.

    The axes of the standard are (frame, x, y) or, for volumes, (frame, x, y, z). They
    are read as (frame, y, x) if the ``dimension`` of the file shows this order.
    """

    def _names(self, file: h5py.File) -> list[str]:
        names: list[str] = []

        def visit(name: str, item: Any) -> None:
            if (
                isinstance(item, h5py.Group)
                and "data" in item
                and _kind(item) in SERIES
            ):
                names.append(name)

        file.visititems(visit)
        return names

    def _path_of(self, file: h5py.File, name: str) -> str:
        if not isinstance(file[name], h5py.Group):
            return name
        data = file[name]["data"]
        if "external_file" in file[name] and data.size == 0:
            listed = file[name]["external_file"].asstr()[:].tolist()
            raise FormatError(
                f"{self.path}:{name} contains no frames but refers to"
                f" {', '.join(listed)}; open that file"
            )
        return f"{name}/data"

    def _axes(self, dataset: h5py.Dataset, selection: Selection) -> str:
        if selection.axes is not None:
            return super()._axes(dataset, selection)
        standard = {3: "TXY", 4: "TXYZ"}.get(dataset.ndim)
        if standard is None:
            raise FormatError(
                f"{self.path}:{self.loc} has shape {dataset.shape}; expected"
                " (frame, x, y) or (frame, x, y, z)"
            )
        if "dimension" in dataset.parent:
            stated = np.ravel(dataset.parent["dimension"][()]).tolist()[:2]
            stored = list(dataset.shape[1:3])
            if stated == stored[::-1] != stored:
                return standard.replace("XY", "YX")
        return standard

    def _metadata(self, dataset: h5py.Dataset) -> Metadata:
        series = dataset.parent
        plane = series.get("imaging_plane")
        rate, times = None, None
        if "timestamps" in series:
            times = np.asarray(series["timestamps"][()], float)
        elif "starting_time" in series:
            rate = float(series["starting_time"].attrs.get("rate", 0)) or None
        if rate is None and plane is not None and "imaging_rate" in plane:
            rate = float(plane["imaging_rate"][()]) or None
        metadata = Metadata(
            pixel_size=_pixel_size(plane),
            frame_rate=rate,
            channel_names=(),
            acquisition_time=_text(dataset.file.get("session_start_time")),
        )
        return metadata if times is None else metadata.with_times(times)

    def _remarks(self, dataset: h5py.Dataset) -> tuple[str, ...]:
        scale = float(dataset.attrs.get("conversion", 1.0))
        offset = float(dataset.attrs.get("offset", 0.0))
        if (scale, offset) in ((1.0, 0.0), (0.0, 0.0)):
            return ()
        return (
            f"values are not converted: conversion {scale:g} and offset {offset:g} of"
            " the file are ignored",
        )


def _kind(item: Any) -> str:
    return str(_text(item.attrs.get("neurodata_type")) or "")


def _text(value: Any) -> str | None:
    """Return a value of the file as text; None for None."""
    if isinstance(value, h5py.Dataset):
        value = value[()]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)


def _pixel_size(plane: Any) -> tuple[float, float] | None:
    """Return the pixel size in micrometres from ``grid_spacing`` (x, y, ...)."""
    if plane is None or "grid_spacing" not in plane:
        return None
    spacing = plane["grid_spacing"]
    unit = _text(spacing.attrs.get("unit")) or "meters"
    scale = {"meters": 1e6, "millimeters": 1e3, "micrometers": 1.0, "um": 1.0}.get(unit)
    values = np.ravel(spacing[()]).astype(float)
    if scale is None or len(values) < 2 or min(values[:2]) <= 0:
        return None
    return float(values[1]) * scale, float(values[0]) * scale
