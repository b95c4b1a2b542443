"""The main job: from a recording to events and a report, stage by stage, resumable."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from astrocast.errors import DatasetNotFoundError, ResultsDifferError
from astrocast.io import Recording, open_recording
from astrocast.io.chunks import infer_chunks
from astrocast.io.formats.hdf5 import dataset_names
from astrocast.io.naming import PARTIAL
from astrocast.io.registry import open_interleaved
from astrocast.io.stores.event_store import read_events, store_path
from astrocast.io.stores.registration_store import registration_path
from astrocast.pipeline.check import check_recording
from astrocast.pipeline.directory import RunDirectory, Stage, open_run
from astrocast.pipeline.gather import Movies, gather
from astrocast.pipeline.products import StoredDataset, StoredFile, StoredFolder
from astrocast.pipeline.settings import RunSettings
from astrocast.runtime.provenance import plain

RECORDING, REPORT, FRAMES = "recording.h5", "report.html", "frames.csv"


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Parameters
    ----------
    directory
        The run directory.
    events
        Number of events found.
    computed
        Stages that were computed now; the others were complete and were reused.
    store
        The event store within it.
    """

    directory: Path
    events: int
    computed: tuple[str, ...]
    store: Path

    def summary(self) -> str:
        """Return what a person wants to know at the end of a run."""
        if self.computed:
            first = f"{self.events} event{'' if self.events == 1 else 's'} found"
        else:
            first = (
                f"everything was complete and reused: {self.events}"
                f" event{'' if self.events == 1 else 's'}"
            )
        return (
            f"{first}\nreport: {self.directory / REPORT}\nevents:"
            f" {self.store / 'events.csv'}"
        )


def run_recording(
    recording: str | Path,
    output: str | Path | None = None,
    settings: RunSettings | None = None,
    *,
    overwrite: bool = False,
    judge: Judge | None = None,
) -> RunResult:
    """Convert, register, denoise where asked, correct bleaching, detect events and
    write the report.

    Parameters
    ----------
    recording
        File or folder of a recording (frame, row, column), of any format that is read.
    output
        Directory of the results; ``<name>.astrocast`` in the current directory when
        None. A directory that holds the same run is taken up: complete stages are
        reused.
    settings
        Parameters of all stages; the defaults when None.
    overwrite
        Compute stages with other parameters anew instead of refusing.
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
    source = Path(recording)
    directory = (
        Path(output)
        if output is not None
        else Path(f"{source.stem or source.name}.astrocast")
    )
    with open_source(source, settings) as movie:
        described = check_recording(movie)
    run = open_run(
        directory, described, plain(settings.model_dump()), settings.seed, overwrite
    )
    try:
        steps = Steps(run, source, settings, judge)
        computed = run.perform(steps.stages(), overwrite)
        run.save()
        return steps.result(computed)
    finally:
        run.close()


#: says how well a run found events that are known
Judge = Callable[[RunResult], dict[str, float]]


class Steps:
    """The stages of one run: what each calls and where its result is."""

    def __init__(
        self,
        run: RunDirectory,
        source: Path,
        settings: RunSettings,
        judge: Judge | None = None,
    ) -> None:
        self.run, self.source, self.settings, self.judge = run, source, settings, judge
        self.recording = run.file(RECORDING)
        channel = settings.channel
        named = settings.conversion.channels
        self.raw = (
            channel
            if isinstance(named, dict)
            else f"{settings.conversion.loc_out}/{channel}"
        )
        last = channel.rsplit("/", 1)[-1]
        self.corrected = f"mc/{last}" if settings.motion.enabled else self.raw
        self.quiet = (
            f"denoised/{last}" if settings.denoising.enabled else self.corrected
        )
        self.signal = f"df/{last}"
        self.store = store_path(self.recording, self.signal)

    def result(self, computed: list[str]) -> RunResult:
        """Return what is in the directory now."""
        events = int(self.run.facts("detection").get("events", 0))
        return RunResult(self.run.path, events, tuple(computed), self.store)

    def stages(self) -> list[Stage]:
        """Return the stages in order."""
        settings, conversion = (
            self.settings,
            plain(self.settings.conversion.model_dump()),
        )
        stated = {
            "frame_rate": settings.frame_rate,
            "pixel_size": settings.pixel_size,
            "channel": settings.channel,
        }
        from astrocast.detection.checkpoint import ALGORITHM_VERSION as DETECTION
        from astrocast.pipeline.report import ALGORITHM_VERSION as REPORT_VERSION
        from astrocast.preparation.delta import ALGORITHM_VERSION as DELTA
        from astrocast.preparation.input import ALGORITHM_VERSION as CONVERSION
        from astrocast.preparation.motion_estimate import ALGORITHM_VERSION as MOTION

        stages = [
            Stage(
                "conversion",
                conversion | stated,
                self.convert,
                (StoredDataset(self.recording, self.raw),),
                CONVERSION,
            )
        ]
        if settings.motion.enabled:
            registration = registration_path(self.recording, self.corrected)
            stages.append(
                Stage(
                    "motion",
                    plain(settings.motion.model_dump(exclude={"enabled"})),
                    self.correct_motion,
                    (
                        StoredDataset(self.recording, self.corrected),
                        StoredFile(registration),
                    ),
                    MOTION,
                )
            )
        if settings.denoising.enabled:
            from astrocast.denoising.denoiser import ALGORITHM_VERSION as DENOISING

            stages.append(
                Stage(
                    "denoising",
                    plain(self._denoiser_parameters()),
                    self.denoise,
                    (StoredDataset(self.recording, self.quiet),),
                    DENOISING,
                )
            )
        return [
            *stages,
            Stage(
                "delta",
                plain(settings.delta.model_dump()),
                self.correct_bleaching,
                (StoredDataset(self.recording, self.signal),),
                DELTA,
            ),
            Stage(
                "detection",
                plain(settings.detection.model_dump()),
                self.detect,
                (StoredFolder(self.store),),
                DETECTION,
            ),
            Stage(
                "report",
                {},
                self.report,
                (StoredFile(self.run.file(REPORT)),),
                REPORT_VERSION,
            ),
        ]

    def convert(self) -> dict[str, Any]:
        """Write the channels of the recording."""
        from astrocast.preparation import Input

        self.recording.unlink(missing_ok=True)
        parameters = self.settings.conversion.model_dump()
        with open_source(self.source, self.settings) as movie:
            parameters["dtype"] = parameters["dtype"] or movie.dtype
            Input().run(movie, output_path=self.recording, **parameters)
        names = dataset_names(self.recording)
        if self.raw not in names:
            raise DatasetNotFoundError(
                f"there is no channel {self.settings.channel!r}; the recording has"
                f" {', '.join(names)}"
            )
        return {"datasets": names, "frames_left_out": self._store_frame_quality()}

    def _store_frame_quality(self) -> int:
        """Find the frames that are not pictures, for all later stages; return how many
        are left out.
        """
        from astrocast.io.stores.frame_quality import (
            frames_left_out,
            write_frame_quality,
            write_table,
        )
        from astrocast.runtime.frame_quality import find_frame_quality

        with open_recording(self.recording, self.raw) as movie:
            table = find_frame_quality(movie)
        write_frame_quality(self.recording, self.raw, table)
        write_table(self.run.file(FRAMES), table)
        return int(frames_left_out(table, table.attrs["frames"]).sum())

    def correct_motion(self) -> dict[str, Any]:
        """Undo the motion of the frames."""
        from astrocast.io.stores.frame_quality import write_table
        from astrocast.preparation import MotionCorrection

        motion = MotionCorrection()
        motion.run(
            self.recording,
            loc=self.raw,
            **self.settings.motion.model_dump(exclude={"enabled"}),
        )
        motion.save(
            self.recording, loc=self.corrected, chunk_strategy="XY", overwrite=True
        )
        write_table(self.run.file(FRAMES), motion.frame_quality)
        found = motion.registration
        return {
            "bad_frames": int(found.quality["bad_frame"].sum()),
            "border": list(found.border),
            "largest_shift_px": round(float(abs(found.shifts).max()), 2),
        }

    def _denoiser_parameters(self) -> dict[str, Any]:
        chosen = self.settings.denoising
        seed = self.settings.seed if chosen.seed is None else chosen.seed
        return chosen.model_dump(exclude={"enabled"}) | {"seed": seed}

    def denoise(self) -> dict[str, Any]:
        """Take the noise out of the registered movie."""
        from astrocast.denoising import Denoiser

        with open_recording(self.recording, self.corrected) as movie:
            chunks = infer_chunks(movie.shape, np.dtype(np.float32), "XY")
        denoiser = Denoiser(**self._denoiser_parameters())
        denoiser.run(
            self.recording,
            self.corrected,
            self.recording,
            self.quiet,
            chunks=chunks,
            overwrite=True,
        )
        return denoiser.measured()

    def correct_bleaching(self) -> dict[str, Any]:
        """Take the background of each pixel away."""
        from astrocast.preparation import Delta

        settings = self.settings.delta
        with open_recording(self.recording, self.quiet) as movie:
            window = settings.window_for(len(movie))
        delta = Delta(self.recording, loc=self.quiet)
        delta.run(**settings.model_dump() | {"window": window})
        delta.save(self.recording, loc=self.signal, chunk_strategy="XY", overwrite=True)
        return {"window": window}

    def detect(self) -> dict[str, Any]:
        """Find the events."""
        from astrocast.detection import Detector

        # of other parameters, or of an input that was computed anew
        if self.store.exists():
            shutil.rmtree(self.store)
        settings = self.settings.detection
        parameters: dict[str, Any] = settings.model_dump(exclude={"calibration"})
        # the noise is known in the movie itself; traces are of dF
        calibrated = settings.method == "calibrated"
        parameters["loc"] = self.corrected if calibrated else self.signal
        parameters["signal_loc"] = self.signal if calibrated else None
        detector = Detector(self.recording, output=self.store)
        try:
            directory = detector.run(calibration=settings.calibration, **parameters)
        except ResultsDifferError:
            # blocks of an interrupted run with other parameters: they are this run's
            shutil.rmtree(self.store.with_name(self.store.name + PARTIAL))
            directory = detector.run(calibration=settings.calibration, **parameters)
        return {
            "events": len(read_events(directory, columns=["z0"])),
            "store": directory.name,
        }

    def report(self) -> dict[str, Any]:
        """Write the page that shows the run."""
        from astrocast.pipeline.report import write_report

        movies = Movies(
            self.recording, self.raw, self.corrected, self.quiet, self.signal
        )
        content = gather(self.run, self.source.name, movies, self.store)
        score = self.judge(self.result([])) if self.judge else None
        return {
            "report": write_report(self.run.path, replace(content, score=score)).name
        }


def open_source(source: Path, settings: RunSettings) -> Recording:
    """Open the input of a run; what the settings say of its pixels and frames goes
    before what the file says.
    """
    conversion = settings.conversion
    channels = (
        conversion.channels
        if isinstance(conversion.channels, int)
        else len(conversion.channels)
    )
    movie = open_interleaved(
        source, conversion.loc_in, sep=conversion.sep, channels=channels
    )
    known, size = movie.metadata, settings.pixel_size
    movie.metadata = replace(
        known,
        frame_rate=settings.frame_rate or known.frame_rate,
        pixel_size=(size, size) if size else known.pixel_size,
    )
    return movie
