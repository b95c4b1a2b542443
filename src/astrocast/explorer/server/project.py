"""A project: an open recording or run with its layers, events and registration."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from astrocast.analysis.region_columns import add_region_columns
from astrocast.errors import (
    AstrocastError,
    DatasetNotFoundError,
    FormatError,
    RecordingNotFoundError,
)
from astrocast.events.curation import CurationState, Decision
from astrocast.events.schema import Column
from astrocast.explorer.server.computed import QuickChange, RelativeChange
from astrocast.explorer.server.events import EventSet, column_to_json
from astrocast.explorer.server.frames import FrameCache, LayerStatistics, project_movie
from astrocast.explorer.server.layers import Layer, layers_of
from astrocast.io.formats.hdf5_checks import refuse_other_files
from astrocast.io.recording import Metadata, Recording
from astrocast.io.stores.event_store import TABLE, list_stores, read_meta
from astrocast.io.stores.frame_quality import read_frame_quality
from astrocast.io.stores.regions import read_regions
from astrocast.io.stores.registration_store import Registration, read_registration
from astrocast.kernels.frames.projections import Projections
from astrocast.pipeline.directory import RUN_FILE
from astrocast.pipeline.movies import find_movies, url_of_movies
from astrocast.pipeline.settings import RunSettings
from astrocast.runtime.provenance import write_json

#: ending of the file beside a recording with the properties entered in the page
NOTES_SUFFIX = ".explore.json"


@dataclass(frozen=True)
class Place:
    """Paths of the parts of a project.

    Parameters
    ----------
    given
        The opened path: recording, run directory or event store.
    recording
        The recording to show.
    run
        The run directory; None for a recording without a run.
    store
        The event store, or None.
    """

    given: Path
    recording: Path
    run: Path | None
    store: Path | None


def find_parts(path: Path) -> Place:
    """Return the parts of a run, an event store or a recording at ``path``.

    Raises
    ------
    RecordingNotFoundError
        The path does not exist, or its run has not written a recording yet.
    """
    if not path.exists():
        raise RecordingNotFoundError(
            f"the file or folder {path} does not exist; check the path"
        )
    if (path / RUN_FILE).is_file():
        recording = find_movies(path)
        url = None if recording.exists() else url_of_movies(path)
        if url is not None:
            raise RecordingNotFoundError(
                f"the movies of {path} are at {url}, which the explorer does not read."
                f" Copy that store to {path / 'recording.zarr'}, or open report.html"
            )
        if not recording.exists():
            raise RecordingNotFoundError(
                f"{path} has no {recording.name} yet: its run did not finish the"
                " conversion; run it again"
            )
        return Place(path, recording, path, _store_in(path, recording.stem))
    if (path / TABLE).is_file():
        from astrocast.analysis.video import inferred_path

        return Place(path, inferred_path(path), None, path)
    return Place(path, path, None, _store_in(path.parent, path.stem))


def _store_in(folder: Path, stem: str) -> Path | None:
    found = (p for p in list_stores(folder) if p.name.startswith(f"{stem}."))
    return next(found, None)


class Project:
    """One open recording or run.

    Parameters
    ----------
    path
        Run directory, recording or event store.
    loc
        Dataset inside the recording; None shows all of them.
    curator
        Name of the curator, see `astrocast.io.stores.curation`.
    """

    def __init__(self, path: Path, loc: str | None = None, curator: str = "") -> None:
        self.place, self.curator = find_parts(path), curator
        recording = self.place.recording
        if recording.suffix.lower() in (".h5", ".hdf5"):
            refuse_other_files(recording)
        self.settings = _run_settings(self.place)
        delta = self.settings.delta
        self.layers = {
            layer.key: layer
            for layer in layers_of(recording, loc, delta.floor, delta.method == "dFF")
        }
        if not self.layers:
            raise DatasetNotFoundError(
                f"{recording} contains no movie (frame, row, column)"
            )
        self.cache = FrameCache()
        self._statistics: dict[str, LayerStatistics] = {}
        self._projections: dict[str, Projections] = {}
        self._lock = threading.Lock()
        #: held from the check of a decision until it is stored, so that two decisions
        #: at the same time do not give the same number to new events
        self.deciding = threading.RLock()
        self._events: EventSet | None = None
        self._apply_offset()

    @property
    def title(self) -> str:
        """Return the name that the page shows."""
        run = self.place.run
        if run is None:
            return self.place.recording.name
        return f"{run.parent.name}/{run.name}" if run.name == "run" else run.name

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return frames, rows and columns."""
        return next(iter(self.layers.values())).recording.shape

    def layer(self, key: str) -> Layer:
        """Return a layer by its key."""
        if key not in self.layers:
            raise DatasetNotFoundError(
                f"the layer {key!r} does not exist; choose from"
                f" {', '.join(self.layers)}"
            )
        return self.layers[key]

    def first(self, *kinds: str) -> Layer | None:
        """Return the first layer of the first of these kinds that exists."""
        for kind in kinds:
            for layer in self.layers.values():
                if layer.kind == kind and layer.channel == self.channel:
                    return layer
        return None

    @cached_property
    def channel(self) -> str:
        """Return the channel in which events were detected."""
        wanted = self.settings.channels_to_run[0].rsplit("/", 1)[-1]
        channels = [layer.channel for layer in self.layers.values()]
        return wanted if wanted in channels else channels[0]

    def statistics(self, key: str) -> LayerStatistics:
        """Return contrast and histogram of a layer."""
        found = self._statistics
        if key not in found:
            found[key] = LayerStatistics(self.layer(key).recording)
        return found[key]

    def projections(self, key: str) -> Projections:
        """Return the projections of a layer, computed once."""
        with self._lock:
            if key not in self._projections:
                self._projections[key] = project_movie(self.layer(key).recording)
            return self._projections[key]

    @property
    def events(self) -> EventSet | None:
        """Return the events with the decisions about them; None if there are none."""
        if self._events is None and self.place.store is not None:
            with self.deciding:
                if self._events is None:
                    store = self.place.store
                    self._events = EventSet(store, self.shape, self.curator)
        return self._events

    def decide(self, decision: Decision) -> CurationState:
        """Store a decision about events; return the state after it."""
        with self.deciding:
            events = self.events
            if events is None:
                raise DatasetNotFoundError("no events have been detected yet")
            self._events = events.decide(decision)
            return self._events.state

    @cached_property
    def registration(self) -> Registration | None:
        """Return the results of motion correction, or None."""
        layer = self.first("mc")
        if layer is None or layer.recording.path is None:
            return None
        return read_registration(layer.recording.path, layer.recording.loc)

    def frame_marks(self) -> list[dict[str, Any]]:
        """Return the bad frames: frame, kind, reason, severity."""
        found: list[dict[str, Any]] = []
        for kind in ("mc", "data"):
            layer = self.first(kind)
            if layer is not None and not found:
                found = read_frame_marks(layer.recording.path, layer.recording.loc)
        return found

    def table_with_regions(self, events: EventSet) -> tuple[pd.DataFrame, list[Column]]:
        """Return an event table with the columns of regions and their descriptions."""
        regions = read_regions(self.place.recording)
        if not regions:
            return events.table, []
        return add_region_columns(events.table, regions, self.shape[1:], self.metadata)

    def region_columns(self, events: EventSet) -> list[dict[str, Any]]:
        """Return the columns that regions add to the event table."""
        table, described = self.table_with_regions(events)
        known = {column.name: column.to_dict() for column in described}
        return [column_to_json(name, table[name], known) for name in known]

    @property
    def metadata(self) -> Metadata:
        """Return pixel size and frame rate: entered in the page, or from the file."""
        known = next(iter(self.layers.values())).recording.metadata
        answers = self.answers
        size = answers.get("pixel_size")
        return replace(
            known,
            frame_rate=answers.get("frame_rate") or known.frame_rate,
            pixel_size=(size, size) if size else known.pixel_size,
        )

    @property
    def answers_path(self) -> Path:
        """Return the path of the file with the properties entered in the page."""
        recording = self.place.recording
        return recording.with_name(recording.name + NOTES_SUFFIX)

    @property
    def answers(self) -> dict[str, float]:
        """Return the properties of the recording entered in the page."""
        try:
            stored = json.loads(self.answers_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise FormatError(f"{self.answers_path} is not JSON: {error}") from error
        return {k: float(v) for k, v in stored.items()}

    def answer(self, values: dict[str, float]) -> None:
        """Store entered properties beside the recording."""
        write_json(self.answers_path, self.answers | values)
        with self._lock:  # not while a projection is computed
            self._apply_offset()
            self._statistics.clear()
            self._projections.clear()
        self.cache.clear()

    @property
    def offset(self) -> float | str | None:
        """Return the counts in the dark, from the settings or entered in the page."""
        used = self.settings.conversion.offset
        return used if used is not None else self.answers.get("offset")

    def _apply_offset(self) -> None:
        """Pass the entered offset to the computed layers, which subtract it."""
        answered = self.answers.get("offset")
        if self.settings.conversion.offset is None and answered is not None:
            for layer in self.layers.values():
                if isinstance(layer.recording, RelativeChange | QuickChange):
                    layer.recording.offset = answered

    def source(self) -> tuple[Path, str | None]:
        """Return the input of the run and its dataset, for running again."""
        if self.place.run is None:
            movie = self.first("data", "other")
            several = len({x.recording.loc for x in self.layers.values()}) > 1
            loc = movie.recording.loc if movie is not None and several else None
            return self.place.recording, loc
        state = _state(self.place.run)
        stored = state.get("input", {})
        return Path(str(stored.get("path", ""))), stored.get("loc")

    def release(self) -> None:
        """Close files, so that another process can write them."""
        for layer in self.layers.values():
            layer.recording.release()

    def close(self) -> None:
        """Close everything."""
        self.cache.close()
        for layer in self.layers.values():
            layer.recording.close()


def _state(run: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((run / RUN_FILE).read_text(encoding="utf-8")))
    except ValueError as error:
        raise FormatError(f"{run / RUN_FILE} cannot be read: {error}") from error


def _run_settings(place: Place) -> RunSettings:
    """Return the parameters of the run, or the defaults without a run."""
    if place.run is not None:
        stored = _state(place.run).get("configuration", {})
        try:
            checked: RunSettings = RunSettings.checked(**stored)
        except AstrocastError:
            return RunSettings()  # of another version; the page shows the defaults
        return checked
    if place.store is not None:
        return _store_settings(place.store)
    return RunSettings()


def _store_settings(store: Path) -> RunSettings:
    try:
        used = dict(read_meta(store).get("parameters", {}))
    except AstrocastError:
        return RunSettings()
    from astrocast.pipeline.settings import DetectionStage

    names = DetectionStage.model_fields
    detection = {k: v for k, v in used.items() if k in names}
    try:
        checked: RunSettings = RunSettings.checked(detection=detection)
    except AstrocastError:
        return RunSettings()
    return checked


def movie_for(project: Project, *kinds: str) -> Recording:
    """Return the movie of the first existing kind, in the channel of the events."""
    layer = project.first(*kinds)
    if layer is None:
        raise DatasetNotFoundError(
            f"{project.title} has none of the layers {', '.join(kinds)}"
        )
    return layer.recording


def read_frame_marks(path: Path | None, loc: str | None) -> list[dict[str, Any]]:
    """Return the marks of frames that are stored beside a recording."""
    if path is None:
        return []
    table = read_frame_quality(path, loc)
    if table is None:
        return []
    columns = ("frame", "kind", "reason", "severity")
    lists = [table[name].tolist() for name in columns]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
