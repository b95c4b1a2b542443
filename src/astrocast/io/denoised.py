"""Which movie a denoised one was made from, where both are in one file."""

from __future__ import annotations

import json
from typing import Any

from astrocast.errors import DatasetNotFoundError
from astrocast.io.recording import Recording
from astrocast.io.registry import open_recording

_HDF5_SUFFIXES = (".h5", ".hdf5")
#: parameter by which the provenance of a denoised dataset is known
DENOISER_MARK = "engine_used"
#: groups of a run's movies: denoised, and those that it is made from, the last first
DENOISED, MADE_FROM = "denoised/", ("mc/", "data/")


def open_undenoised(recording: Recording) -> Recording | None:
    """Open the movie that a denoised dataset was made from, or return None.

    None where the recording is not known to be denoised, or where the movie is not in
    the same file with the same shape. What `astrocast.denoising.Denoiser` wrote into
    HDF5 names its source; otherwise ``denoised/ch0`` is made from ``mc/ch0``, or
    ``data/ch0`` where there is no ``mc/ch0``.

    The caller closes what is returned.
    """
    if recording.path is None or not recording.loc:
        return None
    for loc in _sources(recording):
        try:
            found = open_recording(recording.path, loc)
        except DatasetNotFoundError:
            continue
        if found.shape == recording.shape:
            return found
        found.close()
    return None


def is_denoised(recording: Recording) -> bool:
    """Return whether a dataset is known to be denoised, see `open_undenoised`."""
    return recording.path is not None and bool(recording.loc and _sources(recording))


def _sources(recording: Recording) -> list[str]:
    """Return datasets that a recording may have been made from, the likeliest first."""
    loc = str(recording.loc).strip("/")
    named = [
        group + loc.removeprefix(DENOISED)
        for group in MADE_FROM
        if loc.startswith(DENOISED)
    ]
    said = _stated_source(recording, loc)
    return [said, *named] if said else named


def _stated_source(recording: Recording, loc: str) -> str | None:
    """Return the dataset of the same file that `Denoiser` says it has denoised."""
    path = recording.path
    if path is None or path.suffix.lower() not in _HDF5_SUFFIXES:
        return None
    import h5py

    with h5py.File(path, "r") as file:
        text = file[loc].attrs.get("provenance") if loc in file else None
    known: dict[str, Any] = json.loads(text) if text else {}
    if DENOISER_MARK not in known.get("parameters", {}):
        return None
    source = known.get("input", {})
    same = source.get("path") and path.samefile(source["path"])
    return str(source["loc"]).strip("/") if same and source.get("loc") else None
