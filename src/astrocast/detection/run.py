"""One run of the detection: activity, segmentation, measurement, table."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.decoys import finish_decoys
from astrocast.detection.calibrated.parts import finish_parts
from astrocast.detection.calibrated.segment import (
    CONFIDENCE,
    HEIGHT,
    segment_calibrated,
)
from astrocast.detection.checkpoint import Checkpoint
from astrocast.detection.events.division import divide_events
from astrocast.detection.events.footprint_measures import (
    MeasureContext,
    MeasuredMovies,
    mean_image,
    measure_footprints,
)
from astrocast.detection.events.layers import count_shared
from astrocast.detection.events.segmentation import (
    Segmentation,
    StreamOpener,
    segment,
)
from astrocast.detection.events.table_rows import (
    Publication,
    SourceFrames,
    event_runs,
    write_table,
)
from astrocast.detection.events.traces_and_map import measure_and_map_events
from astrocast.detection.inputs import DetectionInputs
from astrocast.detection.threshold.activity import Tap, lead_frames
from astrocast.detection.threshold.preliminary import absolute_level, whole_course_peaks
from astrocast.events.measure_schema import Units, measure_columns
from astrocast.events.schema import HIDDEN, OVERLAP_VOXELS, Column
from astrocast.io.recording import Recording, RecordingWriter
from astrocast.io.registry import create_recording
from astrocast.io.stores.event_map import create_event_map, write_time_map
from astrocast.io.stores.event_store import META
from astrocast.io.stores.event_table_writer import EventTableWriter
from astrocast.runtime.blocks import frames_per_block as block_frames
from astrocast.runtime.progress import track
from astrocast.runtime.provenance import describe_input, record, write_json
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.detection import DetectionSettings


@dataclass(frozen=True)
class DetectionCounts:
    """Numbers of events and invalid voxels of a run."""

    events: int
    invalid_voxels: int


@contextmanager
def _open_debug_tap(
    checkpoint: Checkpoint, recording: Recording, settings: DetectionSettings
) -> Iterator[Tap | None]:
    """Return the function that stores intermediate steps in ``debug/``, or None."""
    if not settings.debug:
        yield None
        return
    folder = checkpoint.path / "debug"
    if not (folder / "complete").exists():
        # an interrupted run has written only some frames: start again
        shutil.rmtree(folder, ignore_errors=True)
        checkpoint.forget()
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        writers: dict[str, RecordingWriter] = {}

        def store(name: str, start: int, frames: NDArray[Any]) -> None:
            if name not in writers:
                path = folder / f"{name}.tiff"
                writers[name] = stack.enter_context(
                    create_recording(path, None, recording.shape, frames.dtype)
                )
            if len(frames):
                writers[name].write(start, np.ascontiguousarray(frames))

        yield store
    (folder / "complete").touch()


def _segment_default(
    recording: Recording,
    settings: DetectionSettings,
    checkpoint: Checkpoint,
    known: DetectionInputs,
    pool: Executor | None,
) -> Segmentation:
    """Find regions of active voxels by thresholds, see `ActivityStream`."""
    n_frames = recording.shape[0]
    level = absolute_level(recording, settings, pool)
    with track("detection: time courses", recording.shape[1], "rows") as advance:
        peaks = whole_course_peaks(recording, settings, checkpoint, pool, advance)
    frames = checkpoint.block_frames(lambda: block_frames(recording))
    with (
        track("detection: active voxels", n_frames) as advance,
        _open_debug_tap(checkpoint, recording, settings) as tap,
    ):
        opener = StreamOpener(settings, n_frames, level, known.border, peaks, tap)
        lead = lead_frames(settings)
        return segment(recording, opener, lead, checkpoint, frames, pool, advance)


def detect(
    recording: Recording,
    settings: DetectionSettings,
    checkpoint: Checkpoint,
    identity: dict[str, Any],
    parameters: dict[str, Any],
    known: DetectionInputs,
    pool: Executor | None,
    calibrated: CalibratedSettings | None = None,
) -> DetectionCounts:
    """Run the detection in the directory of ``checkpoint``; resume if possible.

    With ``calibrated``, events are detected in units of the noise of the recording, and
    each event has a confidence. ``identity`` and ``parameters`` are stored with the
    events.
    """
    directory, n_frames = checkpoint.path, recording.shape[0]
    segmentation = _find_events(
        recording, settings, checkpoint, known, pool, calibrated
    )
    measured_on = known.signal or recording
    boxes = segmentation.boxes
    with (
        track("detection: signals", n_frames) as advance,
        create_event_map(
            directory, recording.shape, settings.event_map_export_format
        ) as event_map,
    ):
        measured, content_hash = measure_and_map_events(
            measured_on, segmentation, event_map, pool, advance
        )
    write_time_map(directory, n_frames, boxes.low[:, 0], boxes.high[:, 0])
    context = SourceFrames(
        settings.z_slice[0] if settings.z_slice else 0, known.bad_frames
    )
    if calibrated is not None:
        finish_parts(directory, context.first_frame, settings.split_events)
        finish_decoys(directory, context.first_frame)
    publication = _measure_for_publication(
        recording, known, segmentation, context, pool, calibrated is not None
    )
    extra = extra_columns(publication.context.units, calibrated is not None)
    with (
        track("detection: event table", len(boxes.area), "events") as advance,
        EventTableWriter(directory, extra) as writer,
    ):
        write_table(segmentation, measured, writer, context, publication, pool, advance)
    source = describe_input(measured_on, content_hash)
    found = DetectionCounts(len(boxes.area), segmentation.invalid_voxels)
    meta = record(parameters, source) | {
        "run": identity,
        "events": found.events,
        "invalid_voxels": found.invalid_voxels,
        "first_frame": context.first_frame,
    }
    write_json(directory / META, meta)
    return found


def _find_events(
    recording: Recording,
    settings: DetectionSettings,
    checkpoint: Checkpoint,
    known: DetectionInputs,
    pool: Executor | None,
    calibrated: CalibratedSettings | None,
) -> Segmentation:
    """Return the voxels of all events, divided if the settings say so."""
    if calibrated is not None:
        with track("detection: active voxels", recording.shape[0]) as advance:
            segmentation = segment_calibrated(
                recording,
                calibrated,
                checkpoint,
                pool,
                advance,
                known.border,
                known.bad_frames,
                known.judged,
            )
    else:
        segmentation = _segment_default(recording, settings, checkpoint, known, pool)
    if settings.split_events:
        # with the calibrated method the recording is raw, unless dF is given as signal
        is_light = known.signal is None or known.signal_kind == "F"
        raw = calibrated is not None and is_light
        count = len(segmentation.boxes.area)
        with track("detection: dividing events", count, "events") as advance:
            segmentation = divide_events(
                known.signal or recording, segmentation, advance, raw
            )
    if segmentation.layered:
        shared = {OVERLAP_VOXELS.name: count_shared(segmentation)}
        segmentation = replace(segmentation, measures=segmentation.measures | shared)
    return segmentation


def extra_columns(units: Units, is_calibrated: bool) -> list[Column]:
    """Return the columns of the event table beyond the base table, in order."""
    extra = [CONFIDENCE, HEIGHT, OVERLAP_VOXELS, HIDDEN] if is_calibrated else []
    # the description of a column by the detection replaces the general one
    stated = {column.name for column in extra}
    return extra + [c for c in measure_columns(units) if c.name not in stated]


def _measure_for_publication(
    recording: Recording,
    known: DetectionInputs,
    segmentation: Segmentation,
    context: SourceFrames,
    pool: Executor | None,
    is_raw: bool,
) -> Publication:
    """Measure each event over its fixed footprint.

    ``is_raw``: the recording contains fluorescence, unless its attributes state dF.
    """
    movies = _choose_movies(recording, known, segmentation, is_raw, pool)
    with track("detection: amplitudes and times", recording.shape[0]) as advance:
        measures = measure_footprints(
            movies, segmentation, event_runs(segmentation), pool, advance
        )
    top, bottom, left, right = known.border
    rows, columns = recording.shape[1:]
    return Publication(
        measures,
        MeasureContext(
            metadata=recording.metadata,
            first_frame=context.first_frame,
            frames=known.frames or recording.shape[0],
            looked_at=(top, rows - bottom, left, columns - right),
            bad_frames=known.bad_frames,
            relative=movies.relative,
        ),
    )


def _choose_movies(
    recording: Recording,
    known: DetectionInputs,
    segmentation: Segmentation,
    is_raw: bool,
    pool: Executor | None,
) -> MeasuredMovies:
    """Return the movies for amplitudes: dF and, if available, fluorescence."""
    signal = known.signal or recording
    fluorescence = known.fluorescence
    if fluorescence is None and known.signal is not None and is_raw:
        fluorescence = recording
    if known.signal_kind != "F":
        relative = known.signal_kind == "dFF"
        return MeasuredMovies(signal, fluorescence, relative=relative)
    with track("detection: mean image", recording.shape[0]) as advance:
        reference = mean_image(signal, segmentation.blocks, advance, pool)
    return MeasuredMovies(signal, signal, reference)
