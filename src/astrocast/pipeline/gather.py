"""Collect the content of a report from the files of a run, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import astuple, dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.io import Recording, open_recording
from astrocast.io.stores.beside import Place
from astrocast.io.stores.event_map import open_event_map
from astrocast.io.stores.event_table import column_names, read_events
from astrocast.io.stores.frame_quality import read_frame_quality
from astrocast.io.stores.registration_store import read_registration
from astrocast.kernels.frames.projections import (
    Projections,
    first_label,
    frame_means,
    onset_map,
    project,
)
from astrocast.pipeline.directory import RunDirectory
from astrocast.pipeline.report_content import ReportContent
from astrocast.runtime.blocks import (
    IMAGE_FRAMES,
    Block,
    frames_per_block,
    map_blocks,
    plan_blocks,
    read_blocks,
)
from astrocast.runtime.progress import track
from astrocast.runtime.reduction import reduce_blocks
from astrocast.runtime.threads import shared_threads
from astrocast.settings.in_force import used_values

#: unit of the traces of events, by the method of the bleach correction
SIGNALS = {"dF": "dF (counts)", "dFF": "dF/F", "background": "background (counts)"}
#: large columns that no figure of the report needs; they are not read
UNUSED_COLUMNS = ("mask", "mask_hidden", "contours", "footprint", "noise_mask_trace")


@dataclass(frozen=True)
class Movies:
    """File and datasets of the movies of a run.

    Parameters
    ----------
    path
        The file or store, or the URL of a store.
    raw, corrected, quiet, signal
        Datasets, see `astrocast.pipeline.channel_steps.ChannelNames`.
    """

    path: Place
    raw: str
    corrected: str
    quiet: str
    signal: str


def gather(
    run: RunDirectory, name: str, movies: Movies, store: Path, ending: str = ""
) -> ReportContent:
    """Return the content of the report of a run; each movie is read once, in blocks.

    Images over all frames are computed of the registered movie alone; of the others,
    the mean of each frame.

    Parameters
    ----------
    run
        The run directory; all stages up to detection are complete.
    name
        Name of the recording, for the title.
    movies
        The movies.
    store
        The event store.
    ending
        Ending of the names of this channel's stages; "" for the first channel.
    """
    with open_recording(movies.path, movies.raw) as movie:
        metadata, shape, dtype = movie.metadata, movie.shape, str(movie.dtype)
    still = _compute_projections(movies.path, movies.corrected)
    # several names can be the same dataset, which is read once
    means = {movies.corrected: still.frame_mean}
    for dataset in dict.fromkeys(astuple(movies)[1:]):
        if dataset not in means:
            means[dataset] = _compute_frame_means(movies.path, dataset)
    columns = [c for c in column_names(store) if c not in UNUSED_COLUMNS]
    events = read_events(store, columns)
    return ReportContent(
        name=name,
        shape=shape,
        dtype=dtype,
        frame_rate=metadata.frame_rate,
        pixel_size=metadata.pixel_size,
        signal=SIGNALS[run.state["stages"][f"delta{ending}"]["parameters"]["method"]],
        created=str(run.state.get("created", "")),
        projections={"mean": still.mean, "max": still.maximum, "std": still.std},
        onset_map=_compute_onset_map(store, events),
        events=events,
        mean_trace=means[movies.signal],
        fluorescence=means[movies.raw],
        baseline=means[movies.quiet] - means[movies.signal],
        quality=run.facts(f"denoising{ending}").get("quality"),
        frame_quality=read_frame_quality(movies.path, movies.raw),
        **_describe_registration(movies.path, movies.corrected),
        **_describe_provenance(run),
    )


def _compute_projections(path: Place, dataset: str) -> Projections:
    def parts(movie: Recording, blocks: list[Block]) -> Iterator[Any]:
        return reduce_blocks(
            movie, project_block, blocks, Projections.merge, shared_threads()
        )

    return reduce(Projections.merge, _compute_blocks(path, dataset, parts))


def _compute_frame_means(path: Place, dataset: str) -> NDArray[np.float64]:
    def parts(movie: Recording, blocks: list[Block]) -> Iterator[Any]:
        found = map_blocks(movie, mean_frames, blocks, pool=shared_threads())
        return ((block.stop - block.start, part) for block, part in found)

    return np.concatenate(list(_compute_blocks(path, dataset, parts)))


def _compute_blocks(
    path: Place, dataset: str, parts: Callable[[Recording, list[Block]], Iterator[Any]]
) -> Iterator[Any]:
    """Yield the ``parts`` of a movie in order.

    They come with the number of their frames.
    """
    with open_recording(path, dataset) as movie:
        frames = max(frames_per_block(movie), IMAGE_FRAMES)
        blocks = list(plan_blocks(len(movie), frames))
        with track("projections", len(movie)) as advance:
            for count, found in parts(movie, blocks):
                yield found
                advance(count)


def project_block(
    frames: NDArray[Any], block: Block, pool: Executor | None
) -> Projections:
    """Return the projections of a block; an operation for `map_blocks`."""
    return project(frames, pool)


def mean_frames(
    frames: NDArray[Any], block: Block, pool: Executor | None
) -> NDArray[np.float64]:
    """Return the mean of each frame of a block; an operation for `map_blocks`."""
    return frame_means(frames, pool)


def _compute_onset_map(store: Path, events: pd.DataFrame) -> NDArray[np.float64] | None:
    """Return the onset (frame) of the first event of each pixel, or None."""
    if events.empty:
        return None
    with open_event_map(store) as labels:
        first = np.zeros(labels.shape[1:], np.int64)
        for _, block in read_blocks(
            labels, list(plan_blocks(len(labels), frames_per_block(labels)))
        ):
            found = first_label(block)
            first = np.where(first == 0, found, first)
    return onset_map(
        first, events.index.to_numpy(np.int64), events["z0"].to_numpy(np.int64)
    )


def _describe_registration(path: Place, corrected: str) -> dict[str, Any]:
    """Return the fields of `ReportContent` about motion; empty without registration."""
    found = read_registration(path, corrected)
    if found is None:
        return {}
    quality = found.quality
    bad = quality["bad_frame"]
    summary = {
        k: float(v) for k, v in found.summary.items() if k.startswith("crispness")
    }
    summary["bad frames"] = int(bad.sum())
    if moved := found.summary.get("line_offset_px"):
        summary["corrected offset of odd lines (px)"] = round(float(moved), 3)
    if not bad.all():
        summary["median residual of good frames (px)"] = float(
            np.median(quality["residual"][~bad])
        )
    return {
        "shifts": found.shifts,
        "registration": {
            "before": quality["correlation_before"],
            "after": quality["correlation_after"],
        },
        "registration_summary": summary,
        "bad_frames": np.flatnonzero(bad).tolist(),
    }


def _describe_provenance(run: RunDirectory) -> dict[str, Any]:
    """Return the fields of `ReportContent` about parameters, stages and versions."""
    stages = {
        n: s for n, s in run.state["stages"].items() if s.get("status") == "complete"
    }
    source = {
        k: v for k, v in run.state["input"].items() if k != "metadata"
    } | run.state["input"].get("metadata", {})
    return {
        "parameters": (
            {n: _used_parameters(s) for n, s in stages.items() if s["parameters"]}
            | {"run": {"seed": run.state["seed"]}}
        ),
        "stages": {
            n: {k: s[k] for k in ("seconds", "peak_memory_mb")}
            for n, s in stages.items()
        },
        "input": source,
        "versions": _merge_versions(stages),
        "warnings": [f"{n}: {w}" for n, s in stages.items() for w in s["warnings"]],
    }


def _merge_versions(stages: dict[str, Any]) -> dict[str, str]:
    """Return package -> version.

    If stages were computed with different versions, each version is listed with its
    stages.
    """
    packages = dict.fromkeys(p for s in stages.values() for p in s.get("versions", {}))
    found: dict[str, str] = {}
    for package in packages:
        by: dict[str, list[str]] = {}
        for name, stage in stages.items():
            by.setdefault(stage["versions"].get(package, "unknown"), []).append(name)
        several = len(by) > 1
        found[package] = "; ".join(
            f"{version} ({', '.join(names)})" if several else version
            for version, names in by.items()
        )
    return found


def _used_parameters(stage: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a stage that have an effect.

    Empty parameters are replaced by the values that the stage chose.
    """
    values = stage["parameters"]
    if "calibration" in values:
        values = used_values(values["method"], values)
    return {k: stage["facts"].get(k, v) if v is None else v for k, v in values.items()}
