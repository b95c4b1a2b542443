"""Run all stages on a recording, from conversion to report; resume complete stages."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astrocast.errors import (
    AstrocastWarning,
    DatasetNotFoundError,
    RecordingNotFoundError,
    stack_level,
)
from astrocast.io import Recording, open_recording
from astrocast.io.access import allowing
from astrocast.io.export.tables import remove_marks
from astrocast.io.registry import open_interleaved
from astrocast.io.stores.event_store import CSV
from astrocast.pipeline.channel_steps import ChannelSteps, ReferenceMotion
from astrocast.pipeline.check import check_recording
from astrocast.pipeline.directory import (
    REPORT_FILE,
    RunDirectory,
    Stage,
    open_run,
    read_state,
)
from astrocast.pipeline.gather import gather
from astrocast.pipeline.movies import (
    names_of_movies,
    place_of_movies,
    remove_movies,
    run_directory,
)
from astrocast.pipeline.products import StoredDataset, StoredFile
from astrocast.pipeline.report_content import ReportContent
from astrocast.pipeline.settings import RunSettings
from astrocast.runtime.provenance import plain

COINCIDENCES = "coincidences.csv"


@dataclass(frozen=True)
class RunResult:
    """Result of a run.

    Parameters
    ----------
    directory
        The run directory.
    events
        Number of detected events in all channels.
    computed
        Stages that were computed now; all others were complete and were reused.
    store
        The event store of the first channel.
    stores
        Channel -> event store.
    events_of
        Channel -> number of events.
    """

    directory: Path
    events: int
    computed: tuple[str, ...]
    store: Path
    stores: dict[str, Path] = field(default_factory=dict)
    events_of: dict[str, int] = field(default_factory=dict)

    def summary(self) -> str:
        """Return a summary of the run as text for people."""
        if self.computed:
            first = f"{self.events} event{'' if self.events == 1 else 's'} found"
        else:
            first = (
                f"all stages were complete and reused: {self.events}"
                f" event{'' if self.events == 1 else 's'}"
            )
        lines = [first, f"report: {self.directory / REPORT_FILE}"]
        if len(self.stores) < 2:
            return "\n".join([*lines, f"events: {self.store / CSV}"])
        lines += [
            f"events of {channel}: {self.events_of[channel]}, {store / 'events.csv'}"
            for channel, store in self.stores.items()
        ]
        return "\n".join([*lines, f"coincidences: {self.directory / COINCIDENCES}"])

    def values(self) -> dict[str, Any]:
        """Return the summary as plain values for programs."""
        return {
            "events": self.events,
            "directory": str(self.directory),
            "report": str(self.directory / REPORT_FILE),
            "table": str(self.store / CSV),
            "channels": {
                channel: {
                    "events": self.events_of[channel],
                    "table": str(store / CSV),
                }
                for channel, store in self.stores.items()
            },
            "computed": list(self.computed),
        }


def run_recording(
    recording: str | Path | Recording,
    output: str | Path | None = None,
    settings: RunSettings | None = None,
    *,
    overwrite: bool = False,
    judge: Judge | None = None,
) -> RunResult:
    """Run all stages on a recording and write the report.

    Parameters
    ----------
    recording
        File or folder of a recording (frame, row, column) in any supported format, or
        an opened recording that has a path.
    output
        Directory of the results; None: ``<name>.astrocast`` in the current directory.
        If it contains the same run, complete stages are reused.
    settings
        Parameters of all stages; None: the defaults.
    overwrite
        Compute stages with other parameters again, instead of raising an error.
    judge
        Function that is called with the result before the report is written; it returns
        name -> score against known events, which the report shows.

    Returns
    -------
    RunResult
        Paths and numbers of the results.

    Raises
    ------
    AstrocastError
        The input, the parameters or the output are not valid; the message says what to
        do.
    """
    settings = settings or RunSettings()
    if isinstance(recording, Recording):
        source, opened = recording.path or Path("recording"), recording
    else:
        source, opened = Path(recording), None
    directory = run_directory(source, output)
    with open_source(opened or source, settings) as movie:
        invalid_is_replaced = settings.conversion.nan_border != "keep"
        described = check_recording(movie, allow_invalid=invalid_is_replaced)
    run = open_run(
        directory, described, plain(settings.model_dump()), settings.seed, overwrite
    )
    try:
        steps = RunStages(run, source, settings, judge, opened)
        computed = run.perform(steps.stages(), overwrite)
        run.save()
        return steps.result(computed)
    finally:
        run.close()


def check_run(directory: str | Path) -> dict[str, list[str]]:
    """Compare all files of a run with their checksums; no file is changed.

    Parameters
    ----------
    directory
        Directory of a run, written by `run_recording`.

    Returns
    -------
    dict
        Stage -> problems; an empty list if all its files match their checksums.

    Raises
    ------
    RecordingNotFoundError, FormatError
        The directory is not that of a run, or its `run.json` is damaged.
    """
    path = Path(directory)
    state = read_state(path)
    if state is None:
        raise RecordingNotFoundError(
            f"{path} has no run.json; give the directory that `astrocast run` wrote"
        )
    settings: RunSettings = RunSettings.checked_mapping(state.get("configuration"))
    run = RunDirectory(path, state)
    return run.check(RunStages(run, path, settings).stages())


#: function that returns name -> score of a run against known events
Judge = Callable[[RunResult], dict[str, float]]


class RunStages:
    """The stages of one run: conversion, those of each channel, and the report."""

    def __init__(
        self,
        run: RunDirectory,
        source: Path,
        settings: RunSettings,
        judge: Judge | None = None,
        opened: Recording | None = None,
    ) -> None:
        self.run, self.source, self.settings, self.judge = run, source, settings, judge
        self.opened = opened
        self.recording = place_of_movies(run.path, settings)
        reference = ReferenceMotion()
        self.channels = [
            ChannelSteps(self.recording, settings, channel, i == 0, reference, run.path)
            for i, channel in enumerate(settings.channels_to_run)
        ]

    def result(self, computed: list[str]) -> RunResult:
        """Return the result of the run; ``computed``: names of the computed stages."""
        stores = {c.channel: c.store for c in self.channels}
        events = {
            c.channel: int(self.run.facts(f"detection{c.ending}").get("events", 0))
            for c in self.channels
        }
        return RunResult(
            self.run.path,
            sum(events.values()),
            tuple(computed),
            self.channels[0].store,
            stores,
            events,
        )

    def stages(self) -> list[Stage]:
        """Return the stages in order."""
        from astrocast.pipeline.report import ALGORITHM_VERSION as REPORT_VERSION
        from astrocast.preparation.input import ALGORITHM_VERSION as CONVERSION

        settings = self.settings
        several = len(self.channels) > 1
        stated = {
            "frame_rate": settings.frame_rate,
            "pixel_size": settings.pixel_size,
            "channel": plain(settings.channel),
        }
        stages = [
            Stage(
                "conversion",
                plain(settings.conversion.model_dump()) | stated,
                self.convert,
                tuple(
                    StoredDataset(self.recording, c.names.raw) for c in self.channels
                ),
                CONVERSION,
            )
        ]
        for channel in self.channels:
            stages += channel.stages()
        if several:
            table = StoredFile(self.run.file(COINCIDENCES))
            stages.append(Stage("coincidence", {}, self.compare_channels, (table,)))
        report = StoredFile(self.run.file(REPORT_FILE))
        stages.append(Stage("report", {}, self.report, (report,), REPORT_VERSION))
        return stages

    def convert(self) -> dict[str, Any]:
        """Convert the recording and write its channels; return facts."""
        from astrocast.preparation import Input

        remove_movies(self.recording)
        parameters = self.settings.conversion.model_dump()
        with open_source(self.opened or self.source, self.settings) as movie:
            if parameters["dtype"] is None:
                # after subtraction of the offset, an integer type would clip the noise
                subtracted = parameters["offset"] is not None
                parameters["dtype"] = "float32" if subtracted else movie.dtype
            Input().run(movie, output_path=self.recording, **parameters)
        names = names_of_movies(self.recording)
        missing = [c.channel for c in self.channels if c.names.raw not in names]
        if missing:
            raise DatasetNotFoundError(
                f"the recording has no channel {', '.join(missing)}; it has"
                f" {', '.join(names)}"
            )
        if self.settings.conversion.offset is None:
            self._warn_of_offset()
        left_out = [self._store_frame_quality(c) for c in self.channels]
        return {"datasets": names, "frames_left_out": sum(left_out)}

    def _warn_of_offset(self) -> None:
        """Warn how much too small dF/F is because the offset was not subtracted."""
        with open_recording(self.recording, self.channels[0].names.raw) as movie:
            sample = movie.read(0, min(len(movie), 16))
            stated = movie.metadata.dark_counts
        mean = float(np.nanmean(sample))
        if mean <= 0 or stated == (0.0,):
            return
        counts = stated[0] if stated else 100.0 if mean > 100 else round(mean / 4, 2)
        problem, automatic = (
            (
                "is not subtracted",
                f"'auto' (the {counts:g} counts that the file states)",
            )
            if stated
            else ("is unknown", "'auto' (if the recording has dark frames)")
        )
        warnings.warn(
            f"the camera's offset (counts in the dark) {problem}, so dF/F is too small"
            f" by the fraction offset / F. For example, an offset of {counts:g} counts"
            f" and the mean F of {mean:.4g} make it {min(counts / mean, 1):.0%} too"
            f" small. Set conversion.offset to a number, to {automatic}, or to 0 if"
            " there is no offset",
            AstrocastWarning,
            stacklevel=stack_level(),
        )

    def _store_frame_quality(self, channel: ChannelSteps) -> int:
        """Store the table of bad frames; return how many frames are left out."""
        from astrocast.io.stores.frame_quality import (
            frames_left_out,
            write_frame_quality,
            write_table,
        )
        from astrocast.runtime.frame_quality import frame_quality_of

        with open_recording(self.recording, channel.names.raw) as movie:
            table = frame_quality_of(movie)  # stored by the conversion
        write_frame_quality(self.recording, channel.names.raw, table)
        write_table(channel.frames_file, table)
        return int(frames_left_out(table, table.attrs["frames"]).sum())

    def compare_channels(self) -> dict[str, Any]:
        """Write the table of events of different channels that coincide."""
        from astrocast.pipeline.coincidence import write_coincidences

        stores = {c.channel: c.store for c in self.channels}
        found = write_coincidences(stores, self.run.file(COINCIDENCES))
        return {"pairs": found}

    def report(self) -> dict[str, Any]:
        """Write the report; return facts."""
        from astrocast.pipeline.report import write_report

        contents = self.contents()
        score = self.judge(self.result([])) if self.judge else None
        contents[0] = replace(contents[0], score=score)
        return {"report": write_report(self.run.path, *contents).name, "score": score}

    def contents(self) -> list[ReportContent]:
        """Return the content of the report, one for each channel."""
        contents = []
        for channel in self.channels:
            content = gather(
                self.run,
                self.source.name,
                channel.movies,
                channel.store,
                channel.ending,
            )
            if len(self.channels) > 1:
                content = replace(content, channel=channel.channel)
            contents.append(content)
        if len(self.channels) > 1:
            table = remove_marks(pd.read_csv(self.run.file(COINCIDENCES)))
            contents[0] = replace(contents[0], coincidences=table)
        return contents


def read_contents(directory: Path) -> list[ReportContent]:
    """Return the content of the report of a complete run, read from its directory.

    Raises
    ------
    RecordingNotFoundError, FormatError
        The directory does not contain a complete run, or its `run.json` is damaged.
    """
    state = read_state(directory)
    detection = state["stages"].get("detection", {}) if state else {}
    if state is None or detection.get("status") != "complete":
        raise RecordingNotFoundError(
            f"{directory} does not contain a complete run; give the directory that"
            " `astrocast run` wrote"
        )
    run = RunDirectory(directory, state)
    settings: RunSettings = RunSettings.checked_mapping(state.get("configuration"))
    steps = RunStages(run, Path(state["input"].get("path") or directory), settings)
    contents = steps.contents()
    score = run.facts("report").get("score")
    contents[0] = replace(contents[0], score=score)
    return contents


def open_source(source: Path | Recording, settings: RunSettings) -> Recording:
    """Open the input of a run.

    Pixel size and frame rate from the settings override those in the file.
    """
    from astrocast.preparation.input import channel_count, choices_of

    conversion = settings.conversion
    with allowing(
        other_files=conversion.other_files, missing_chunks=conversion.missing_chunks
    ):
        movie = open_interleaved(
            source,
            channels=channel_count(conversion.channels),
            **choices_of(conversion),
        )
    known, size = movie.metadata, settings.pixel_size
    movie.metadata = replace(
        known,
        frame_rate=settings.frame_rate or known.frame_rate,
        pixel_size=(size, size) if size else known.pixel_size,
    )
    return movie
