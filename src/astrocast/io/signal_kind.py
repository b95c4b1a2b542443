"""Find out whether a stored recording is fluorescence, dF or dF/F."""

from __future__ import annotations

import json
from typing import Literal

from astrocast.io.recording import Recording

_HDF5_SUFFIXES = (".h5", ".hdf5")
SignalKind = Literal["F", "dF", "dFF"]


def stored_signal_kind(recording: Recording) -> SignalKind | None:
    """Return the kind of signal that `astrocast.preparation.Delta` stored, or None.

    None for recordings of other programs, and for formats other than HDF5.
    """
    path = recording.path
    if path is None or not recording.loc or path.suffix.lower() not in _HDF5_SUFFIXES:
        return None
    import h5py

    with h5py.File(path, "r") as file:
        settings = file[recording.loc].attrs.get("delta")
    if settings is None:
        return None
    method = json.loads(settings).get("method")
    return method if method in ("dF", "dFF") else None
