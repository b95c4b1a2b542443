"""The main job: from a recording to events and a report, stage by stage, resumable."""

from __future__ import annotations

import json
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
from astrocast.pipeline.channel_steps import ChannelSteps, ReferenceMotion
from astrocast.pipeline.check import check_recording
from astrocast.pipeline.directory import (
    RUN_FILE,
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

REPORT = "report.html"
COINCIDENCES = "coincidences.csv"


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Parameters
    ----------
    directory
        The run directory.
    events
        Number of events found, in all channels.
    computed
        Stages that were computed now; the others were complete and were reused.
    store
        The event store within it, of the first channel.
    stores
        Channel -> its event store.
    events_of
        Channel -> number of its events.
    """

    directory: Path
    events: int
    computed: tuple[str, ...]
    store: Path
    stores: dict[str, Path] = field(default_factory=dict)
    events_of: dict[str, int] = field(default_factory=dict)

    def summary(self) -> str:
        """Return a summary of a run for a person."""
        if self.computed:
            first = f"{self.events} event{'' if self.events == 1 else 's'} found"
        else:
            first = (
                f"everything was complete and reused: {self.events}"
                f" event{'' if self.events == 1 else 's'}"
            )
        lines = [first, f"report: {self.directory / REPORT}"]
        if len(self.stores) < 2:
            return "\n".join([*lines, f"events: {self.store / 'events.csv'}"])
        lines += [
            f"events of {channel}: {self.events_of[channel]}, {store / 'events.csv'}"
            for channel, store in self.stores.items()
        ]
        return "\n".join([*lines, f"coincidences: {self.directory / COINCIDENCES}"])

    def values(self) -> dict[str, Any]:
        """Return the same for programs."""
        return {
            "events": self.events,
            "directory": str(self.directory),
            "report": str(self.directory / REPORT),
            "table": str(self.store / "events.csv"),
            "channels": {
                channel: {
                    "events": self.events_of[channel],
                    "table": str(store / "events.csv"),
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
        File or folder of a recording (frame, row, column), of any format that is read,
        or an opened recording that has a path.
    output
        Directory of the results; ``<name>.astrocast`` in the current directory when
        None. A directory that holds the same run is taken up: complete stages are
        reused.
    settings
        Parameters of all stages; the defaults when None.
    overwrite
        Compute stages with other parameters again instead of refusing.
    judge
        Called with the result before the report is written: name -> number, how well
        known events were found.

    Returns
    -------
    RunResult
        Where everything is.

    Raises
    ------
    AstrocastError
        Something is wrong with the input, the parameters or the output; the message
        says what to do.
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
    """Compare everything that a run wrote with its checksums; nothing is changed.

    Parameters
    ----------
    directory
        Directory of a run, as `run_recording` made it.

    Returns
    -------
    dict
        Stage -> its problems, empty where its files match their checksums.

    Raises
    ------
    RecordingNotFoundError, FormatError
        It is not the directory of a run, or its `run.json` is damaged.
    """
    path = Path(directory)
    state = read_state(path)
    if state is None:
        raise RecordingNotFoundError(
            f"{path} holds no run.json; name the directory that `astrocast run` made"
        )
    settings: RunSettings = RunSettings.checked_mapping(state.get("configuration"))
    run = RunDirectory(path, state)
    return run.check(RunStages(run, path, settings).stages())


#: file with the score against known events
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
        """Return the results in the directory."""
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
        report = StoredFile(self.run.file(REPORT))
        stages.append(Stage("report", {}, self.report, (report,), REPORT_VERSION))
        return stages

    def convert(self) -> dict[str, Any]:
        """Write the channels of the recording."""
        from astrocast.preparation import Input

        remove_movies(self.recording)
        parameters = self.settings.conversion.model_dump()
        with open_source(self.opened or self.source, self.settings) as movie:
            if parameters["dtype"] is None:
                # noise below the offset stays: an integer type would cut it off
                known = parameters["offset"] is not None
                parameters["dtype"] = "float32" if known else movie.dtype
            Input().run(movie, output_path=self.recording, **parameters)
        names = names_of_movies(self.recording)
        missing = [c.channel for c in self.channels if c.names.raw not in names]
        if missing:
            raise DatasetNotFoundError(
                f"there is no channel {', '.join(missing)}; the recording has"
                f" {', '.join(names)}"
            )
        if self.settings.conversion.offset is None:
            self._warn_of_offset()
        left_out = [self._store_frame_quality(c) for c in self.channels]
        return {"datasets": names, "frames_left_out": sum(left_out)}

    def _warn_of_offset(self) -> None:
        """Say by how much an unknown offset makes dF/F wrong."""
        with open_recording(self.recording, self.channels[0].names.raw) as movie:
            sample = movie.read(0, min(len(movie), 16))
            stated = movie.metadata.dark_counts
        mean = float(np.nanmean(sample))
        if mean <= 0 or stated == (0.0,):
            return
        counts = stated[0] if stated else 100.0 if mean > 100 else round(mean / 4, 2)
        found, cure = (
            (
                "is not subtracted",
                f"auto, which takes the {counts:g} counts that the file states",
            )
            if stated
            else ("is not known", "auto where the recording has dark frames")
        )
        warnings.warn(
            f"the camera's offset (counts in the dark) {found}, so dF/F is too small by"
            f" offset / F: with an offset of {counts:g} counts by"
            f" {min(counts / mean, 1):.0%} where F is {mean:.4g}, the mean. Set"
            f" conversion.offset to a number, to {cure}, or to 0",
            AstrocastWarning,
            stacklevel=stack_level(),
        )

    def _store_frame_quality(self, channel: ChannelSteps) -> int:
        """Find bad frames, for all later stages; return how many are left out."""
        from astrocast.io.stores.frame_quality import (
            frames_left_out,
            write_frame_quality,
            write_table,
        )
        from astrocast.runtime.frame_quality import frame_quality_of

        with open_recording(self.recording, channel.names.raw) as movie:
            table = frame_quality_of(movie)  # conversion stores the quality of frames
        write_frame_quality(self.recording, channel.names.raw, table)
        write_table(channel.frames_file, table)
        return int(frames_left_out(table, table.attrs["frames"]).sum())

    def compare_channels(self) -> dict[str, Any]:
        """Write which events of one channel coincide with events of another."""
        from astrocast.pipeline.coincidence import write_coincidences

        stores = {c.channel: c.store for c in self.channels}
        found = write_coincidences(stores, self.run.file(COINCIDENCES))
        return {"pairs": found}

    def report(self) -> dict[str, Any]:
        """Write the page that shows the run."""
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
    RecordingNotFoundError
        The directory holds no complete run.
    """
    file = directory / RUN_FILE
    state = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    detection = state.get("stages", {}).get("detection", {})
    if detection.get("status") != "complete":
        raise RecordingNotFoundError(
            f"{directory} holds no complete run; give the directory that"
            " `astrocast run` wrote"
        )
    run = RunDirectory(directory, state)
    settings: RunSettings = RunSettings.checked(**state["configuration"])
    steps = RunStages(run, Path(state["input"].get("path") or directory), settings)
    contents = steps.contents()
    score = run.facts("report").get("score")
    contents[0] = replace(contents[0], score=score)
    return contents


def open_source(source: Path | Recording, settings: RunSettings) -> Recording:
    """Open the input of a run.

    Pixel size and frame rate from the settings override those in the file.
    """
    conversion = settings.conversion
    channels = (
        conversion.channels
        if isinstance(conversion.channels, int)
        else len(conversion.channels)
    )
    with allowing(
        other_files=conversion.other_files, missing_chunks=conversion.missing_chunks
    ):
        movie = open_interleaved(
            source,
            conversion.loc_in,
            sep=conversion.sep,
            channels=channels,
            plane=conversion.plane,
            position=conversion.position,
            channel=conversion.channel,
            axes=conversion.axes,
            missing=conversion.missing,
        )
    known, size = movie.metadata, settings.pixel_size
    movie.metadata = replace(
        known,
        frame_rate=settings.frame_rate or known.frame_rate,
        pixel_size=(size, size) if size else known.pixel_size,
    )
    return movie
