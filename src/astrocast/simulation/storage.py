"""Write a simulated recording and its ground truth to files, in limited memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import (
    FormatError,
    InvalidValueError,
    OutputExistsError,
    RecordingNotFoundError,
)
from astrocast.io.naming import RECORDING_ATTRIBUTE
from astrocast.io.recording import Metadata
from astrocast.io.registry import create_recording
from astrocast.io.writing.files import replacing
from astrocast.runtime.progress import track
from astrocast.runtime.provenance import write_json
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation.simulator import Simulator

HDF5_SUFFIXES = (".h5", ".hdf5")
#: a block of frames takes about this many bytes as float32
BLOCK_BYTES = 32 << 20


def write_simulation(
    settings: SimulationSettings | None,
    path: str | Path,
    *,
    truth: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write a simulated recording with its ground truth.

    The memory does not depend on the length of the recording, except for the voxels of
    the events.

    Parameters
    ----------
    settings
        Settings of the simulation; None: the defaults.
    path
        File of the recording. An HDF5 file contains the movie at ``data/ch0`` (a
        structural channel at ``data/ch1``) and the truth at ``truth/labels`` (int32),
        ``truth/clean`` (float32), ``truth/shifts``, ``truth/knots``, ``truth/f0``,
        ``truth/bleaching``, ``truth/flicker``, ``truth/bad_frames``,
        ``truth/bad_kinds`` and, with line motion, ``truth/line_shifts``. The voxels of
        event k are ``truth/voxels`` (flat indices) from ``truth/first_voxel[k - 1]`` to
        ``truth/first_voxel[k]``. The attribute ``recording`` of the file is
        ``data/ch0``, so `open_recording` needs no ``loc``. A file of another format
        contains only the movie; the truth is in ``<stem>.truth.h5``. In all cases the
        event table is ``<stem>.events.parquet`` and the settings are
        ``<stem>.simulation.json``.
    truth
        Also write the volumes of the truth (4 times the size of the movie). The tables
        are always written.
    overwrite
        Replace existing files.

    Returns
    -------
    Path
        Path of the recording.

    Raises
    ------
    OutputExistsError
        One of the files exists and ``overwrite`` is False.
    """
    path = Path(path)
    plan = Simulator(settings)
    single = path.suffix.lower() in HDF5_SUFFIXES
    beside = _name_tables(path)
    if plan.settings.second_channel and not single:
        raise InvalidValueError(
            f"{path.name} can store one channel only; write two channels to HDF5"
            f" ({', '.join(HDF5_SUFFIXES)})"
        )
    outputs = (
        [path, *beside]
        if single
        else [path, path.with_name(path.stem + ".truth.h5"), *beside]
    )
    there = [str(p) for p in outputs if p.exists()]
    if there and not overwrite:
        raise OutputExistsError(
            f"{', '.join(there)} exists; choose another path, or set overwrite=True"
        )
    # files get their final names at the end, the recording last: a recording always has
    # its truth
    with ExitStack() as stack:
        unfinished = [
            stack.enter_context(replacing(p, suffix=p.suffix)) for p in outputs
        ]
        _write_volumes(
            plan, unfinished[0], unfinished[0] if single else unfinished[1], truth
        )
        plan.events.to_parquet(unfinished[-2], index=False)
        write_json(unfinished[-1], plan.settings.model_dump())
    return path


def _name_tables(path: Path) -> tuple[Path, Path]:
    """Return the paths of the event table and of the settings of a recording."""
    return path.with_name(path.stem + ".events.parquet"), path.with_name(
        path.stem + ".simulation.json"
    )


def _write_volumes(plan: Simulator, movie: Path, truth: Path, volumes: bool) -> None:
    s = plan.settings
    parts: list[tuple[Path, str, Any, Callable[[int, int], NDArray[Any]]]] = [
        (movie, "data/ch0", s.dtype, plan.movie)
    ]
    if s.second_channel:
        parts.append((movie, "data/ch1", s.dtype, plan.second))
    if volumes:
        parts.append((truth, "truth/labels", "int32", plan.labels))
        parts.append((truth, "truth/clean", "float32", plan.clean))
    metadata = Metadata((s.pixel_size, s.pixel_size), s.frame_rate)
    n = plan.shape[0]
    depth = max(1, BLOCK_BYTES // (4 * s.rows * s.columns))
    with track("simulate", n * len(parts), "frames") as advance:
        for path, loc, dtype, render in parts:
            # the truth is almost all zero
            compression = "lz4" if loc.startswith("truth") else None
            writer = create_recording(
                path, loc, plan.shape, dtype, compression=compression, metadata=metadata
            )
            with writer:
                for start in range(0, n, depth):
                    stop = min(start + depth, n)
                    writer.write(start, render(start, stop))
                    advance(stop - start)
    with h5py.File(truth, "a") as file:
        group = file.require_group("truth")
        group.attrs["settings"] = s.model_dump_json()
        group["shifts"], group["knots"] = plan.motion.shifts, plan.motion.knots
        group["f0"], group["bleaching"] = plan.f0, plan.bleaching
        group["flicker"] = plan.sensor.flicker
        if plan.motion.line_shifts is not None:
            group["line_shifts"] = plan.motion.line_shifts
        group["bad_frames"] = plan.bad_frames["frame"].to_numpy(np.int64)
        kinds = plan.bad_frames["kind"].to_list()
        group.create_dataset("bad_kinds", data=kinds, dtype=h5py.string_dtype())
        voxels = plan.voxels if volumes else ()
        group["voxels"] = np.concatenate([*voxels, np.empty(0, np.int64)])
        group["first_voxel"] = np.cumsum([0, *map(len, voxels)])
    if movie.suffix.lower() in HDF5_SUFFIXES:
        with h5py.File(movie, "a") as file:
            file.attrs[RECORDING_ATTRIBUTE] = "data/ch0"


@dataclass(frozen=True)
class Truth:
    """Ground truth of a recording that `write_simulation` wrote.

    The volumes are not loaded. Open them with
    ``astrocast.io.open_recording(truth.path, "truth/labels")`` or ``"truth/clean"``.
    ``Simulator(truth.settings)`` renders all other truth again.
    """

    path: Path
    settings: SimulationSettings
    events: pd.DataFrame
    shifts: NDArray[np.float64]
    f0: NDArray[np.float32]
    bleaching: NDArray[np.float64]
    flicker: NDArray[np.float64]
    bad_frames: pd.DataFrame
    voxels: tuple[NDArray[np.int64], ...]


def read_truth(path: str | Path) -> Truth:
    """Read the ground truth of a recording that `write_simulation` wrote."""
    path = Path(path)
    table, description = _name_tables(path)
    inside = (
        path
        if path.suffix.lower() in HDF5_SUFFIXES
        else path.with_name(path.stem + ".truth.h5")
    )
    missing = [str(p) for p in (inside, table, description) if not p.exists()]
    if missing:
        raise RecordingNotFoundError(
            f"{', '.join(missing)} is missing; the truth must be in the folder of the"
            " simulated recording"
        )
    with h5py.File(inside, "r") as file:
        if "truth/shifts" not in file:
            raise FormatError(
                f"{inside} contains no ground truth; only files of `astrocast simulate`"
                " do"
            )
        group = file["truth"]
        return Truth(
            path=inside,
            settings=SimulationSettings.model_validate_json(
                str(group.attrs["settings"])
            ),
            events=pd.read_parquet(table),
            shifts=group["shifts"][:],
            f0=group["f0"][:],
            bleaching=group["bleaching"][:],
            **_read_newer_datasets(group),
        )


def _read_newer_datasets(group: Any) -> dict[str, Any]:
    """Read datasets that files of early versions do not have; those give no values."""
    if "flicker" not in group:
        kinds = pd.DataFrame({"frame": np.empty(0, np.int64), "kind": []}, dtype=object)
        flicker = np.ones(len(group["bleaching"]))
        return {"flicker": flicker, "bad_frames": kinds, "voxels": ()}
    kinds = pd.DataFrame(
        {
            "frame": group["bad_frames"][:],
            "kind": pd.Series(group["bad_kinds"].asstr()[:], dtype=object),
        }
    )
    first = group["first_voxel"][:]
    voxels = np.split(group["voxels"][:], first[1:-1]) if len(first) > 1 else []
    return {
        "flicker": group["flicker"][:],
        "bad_frames": kinds,
        "voxels": tuple(voxels),
    }
