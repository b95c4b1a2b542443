"""Analyse a recording while it is written, then run the full analysis."""

from __future__ import annotations

import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from astrocast.errors import OutputError, OutputExistsError
from astrocast.io.growing.opening import open_growing
from astrocast.io.growing.raw import RawLayout, open_raw
from astrocast.io.growing.recording import GrowingRecording
from astrocast.io.naming import RUN_DIRECTORY
from astrocast.io.writing.lock import OutputLock
from astrocast.live.agreement import compare_tables, template_offset
from astrocast.live.event import LiveEvent, LiveState
from astrocast.live.session import (
    ChannelFrames,
    Session,
    check_settings,
    known_metadata,
)
from astrocast.live.tables import STATE, STOP, LiveTables, write_state
from astrocast.pipeline.channel_steps import ChannelNames
from astrocast.pipeline.directory import LIVE, LOCK_FILE, RUN_FILE
from astrocast.pipeline.movies import find_movies
from astrocast.pipeline.run import RunResult, run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.runtime.provenance import plain, write_json
from astrocast.runtime.threads import worker_threads
from astrocast.settings.live import LiveSettings

AGREEMENT, SETTINGS = "agreement.json", "settings.json"
#: seconds between two updates of the state file, and between two lines of the log
_STATE_EVERY, _LOG_EVERY = 1.0, 10.0
logger = logging.getLogger("astrocast.live")


@dataclass(frozen=True)
class WatchResult:
    """Result of `Watcher.run`.

    Parameters
    ----------
    directory
        The run directory.
    live
        Its folder with the tables of the live analysis.
    state
        The last state of the live analysis.
    full
        Result of the full analysis; None if it was not requested.
    agreement
        Comparison of both analyses, see `astrocast.live.agreement.compare_tables`; None
        without a full analysis.
    """

    directory: Path
    live: Path
    state: LiveState
    full: RunResult | None = None
    agreement: dict[str, Any] | None = field(default=None)

    def summary(self) -> str:
        """Return a summary as text for a person."""
        state = self.state
        lines = [f"live: {state.events} events in {state.done} frames, {self.live}"]
        if state.latencies:
            known = state.to_dict()
            lines.append(
                f"latency: median {known['latency_median_s']} s, 95th percentile"
                f" {known['latency_p95_s']} s"
            )
        if state.skipped:
            count = sum(b - a for a, b in state.skipped)
            lines.append(f"skipped by the live analysis: {count} frames")
        if self.full is not None:
            lines.append(self.full.summary())
        if self.agreement is not None:
            lines.append(
                f"agreement of live and full analysis: F1 {self.agreement['f1']}"
                f" ({self.agreement['live']} and {self.agreement['full']} events)"
            )
        return "\n".join(lines)

    def values(self) -> dict[str, Any]:
        """Return the summary as values for programs."""
        return {
            "directory": str(self.directory),
            "live": self.state.to_dict(),
            "agreement": self.agreement,
            "full": None if self.full is None else self.full.values(),
        }


class Watcher:
    """Analyses a recording while it is written.

    Frames are registered with a template of the first frames, and searched with the
    background and noise of the latest frames. Each event is reported as soon as it has
    ended. When the recording is complete, the full analysis (`astrocast run`) replaces
    the live one.

    Parameters
    ----------
    source
        A folder to which TIFF files are added, a TIFF file, a zarr array, a ``.npy``
        file, or a raw binary file. It does not have to exist yet.
    output
        Directory of the results; None: ``<name>.astrocast`` in the current directory.
    settings
        Settings of the stages of a run.
    live
        Settings of the live analysis; None: those in ``settings``.
    raw
        Rows, columns and dtype of a raw binary file.
    overwrite
        Replace the results in the output directory.
    clock, sleep
        Functions that return the time in seconds, and that wait; for tests and
        simulations.

    Notes
    -----
    A watch that was killed starts again with the first frame, and catches up.

    Examples
    --------
    >>> watcher = Watcher("session_3", settings=RunSettings(frame_rate=30.0))
    >>> watcher.directory.name
    'session_3.astrocast'
    """

    def __init__(
        self,
        source: str | Path,
        output: str | Path | None = None,
        settings: RunSettings | None = None,
        live: LiveSettings | None = None,
        *,
        raw: RawLayout | None = None,
        overwrite: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.source = Path(source)
        name = self.source.stem or self.source.name
        self.directory = (
            Path(output) if output is not None else Path(f"{name}{RUN_DIRECTORY}")
        )
        self.settings = settings or RunSettings()
        self.live = live or self.settings.live
        self.raw, self.overwrite = raw, overwrite
        self.clock, self.sleep = clock, sleep
        self.state = LiveState()
        self._stop = threading.Event()

    def stop(self) -> None:
        """Declare the recording complete: the frames on the disk are still analysed."""
        self._stop.set()

    def run(self, on_event: Callable[[LiveEvent], None] | None = None) -> WatchResult:
        """Watch until the recording is complete, then run the full analysis.

        The recording is complete when it has not grown for ``idle`` seconds, when
        `stop` is called, on Ctrl-C, or when a file ``stop`` appears in the folder
        ``live`` of the output.

        Parameters
        ----------
        on_event
            Called with a `LiveEvent` for each event as soon as it ended, before the
            event is in the table. If it raises an error, the watch ends.

        Returns
        -------
        WatchResult
            Paths of the results, and the agreement of live and full analysis.

        Raises
        ------
        astrocast.errors.OutputError
            Another process writes to the output.
        astrocast.errors.OutputExistsError
            The output directory has other contents.
        """
        notes = check_settings(self.settings)
        lock = self._take_output()
        folder = self.directory / LIVE
        try:
            if not self._was_recorded(folder):
                self._begin(folder)
                for note in notes:
                    logger.warning(note)
                with stopping_on_interrupt(self._stop):
                    self._watch(folder, on_event)
        finally:
            lock.release()
        if not self.live.analyse or not self.state.frames:
            self._conclude(folder, "complete")
            return WatchResult(self.directory, folder, self.state)
        return self._analyse(folder)

    def _take_output(self) -> OutputLock:
        """Lock the output; raise an error if it has other contents."""
        path = self.directory
        if path.exists() and not path.is_dir():
            raise OutputExistsError(f"{path} is a file; choose another output")
        ours = (LOCK_FILE, LIVE, RUN_FILE)
        is_ours = any((path / name).exists() for name in ours)
        if path.is_dir() and not is_ours and any(path.iterdir()):
            raise OutputExistsError(
                f"{path} exists and is not the output of a run; choose another output"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the output directory {path} cannot be created:"
                f" {error.strerror or error}"
            ) from error
        return OutputLock(path / LOCK_FILE, path)

    def _was_recorded(self, folder: Path) -> bool:
        """Return whether the live part of this watch is complete already."""
        import json

        if self.overwrite or not (self.directory / RUN_FILE).exists():
            return False
        try:
            status = json.loads((folder / STATE).read_text(encoding="utf-8"))
            same = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            status, same = {}, {}
        if status.get("status") != "analysing" or same != self._describe():
            raise OutputExistsError(
                f"{self.directory} contains the results of a run; choose another"
                " output, or overwrite"
            )
        self.state = LiveState("analysing", status["frames"], status["done"])
        self.state.events, self.state.frame_rate = (
            status["events"],
            status["frame_rate"],
        )
        logger.info("the recording is complete; the full analysis continues")
        return True

    def _describe(self) -> dict[str, Any]:
        described: dict[str, Any] = plain(
            {
                "source": str(self.source.resolve()),
                "raw": asdict(self.raw) if self.raw is not None else None,
                "settings": self.settings.model_dump(),
                "live": self.live.model_dump(),
            }
        )
        return described

    def _begin(self, folder: Path) -> None:
        """Make an empty folder for the live analysis."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_json(folder / SETTINGS, self._describe())
        write_state(folder, self.state)

    def _open(self) -> GrowingRecording:
        return open_growing(
            self.source,
            raw=self.raw,
            loc=self.settings.conversion.loc_in,
            sep=self.settings.conversion.sep,
            clock=self.clock,
            settle=self.live.settle,
        )

    def _watch(
        self, folder: Path, on_event: Callable[[LiveEvent], None] | None
    ) -> None:
        source = self._open()
        try:
            frames = self._wait_for_first(source, folder)
            if frames is None:
                return
            metadata = known_metadata(source, self.settings)
            with (
                worker_threads("watch") as pool,
                LiveTables(folder, metadata) as tables,
            ):
                session = Session(
                    frames,
                    metadata,
                    self.settings,
                    self.live,
                    tables,
                    on_event,
                    self.clock,
                    pool,
                )
                self.state = session.state
                try:
                    self._follow(session, tables)
                    session.finish()
                finally:
                    session.close()
                tables.end(self.state.frames)
        finally:
            source.close()

    def _wait_for_first(
        self, source: GrowingRecording, folder: Path
    ) -> ChannelFrames | None:
        """Wait for the first frame; return None if the watch is stopped before it."""
        channels, number = channel_of(self.settings)
        frames = ChannelFrames(source, channels, number)
        while not self._stopped(folder):
            source.look()
            if frames.frames:
                return frames
            self.sleep(self.live.poll)
        return None

    def _follow(self, session: Session, tables: LiveTables) -> None:
        """Analyse frames until the recording is complete."""
        grown = logged = written = self.clock()
        count = 0
        while True:
            session.look()
            now = self.clock()
            if self.state.frames > count:
                count, grown = self.state.frames, now
            took = session.step()
            now = self.clock()
            if now - written >= _STATE_EVERY:
                written = now
                tables.write_state(self.state)
            if now - logged >= _LOG_EVERY:
                logged = now
                logger.info(describe_state(self.state))
            if took:
                if self._stopped(tables.folder):
                    break
                continue
            if now - grown >= self.live.idle or self._stopped(tables.folder):
                break
            self.sleep(self.live.poll)
        session.look()
        while session.step(ends=True):
            pass

    def _stopped(self, folder: Path) -> bool:
        return self._stop.is_set() or (folder / STOP).exists()

    def _conclude(self, folder: Path, status: str) -> None:
        self.state.status = status
        write_state(folder, self.state)

    def _analyse(self, folder: Path) -> WatchResult:
        """Run the full analysis, and compare both analyses."""
        self._conclude(folder, "analysing")
        logger.info("the recording is complete; the full analysis starts")
        source: Any = self.source
        if self.raw is not None:
            source = open_raw(self.source, self.raw)
        result = run_recording(
            source, self.directory, self.settings, overwrite=self.overwrite
        )
        growing = self._open()
        growing.look()
        assert growing.size is not None
        movie = ChannelNames.of(self.settings, self.settings.channels_to_run[0])
        offset = template_offset(folder, find_movies(self.directory), movie.corrected)
        agreement = compare_tables(folder, result.store, growing.size, offset)
        growing.close()
        write_json(folder / AGREEMENT, agreement)
        self._conclude(folder, "complete")
        return WatchResult(self.directory, folder, self.state, result, agreement)


def channel_of(settings: RunSettings) -> tuple[int, int]:
    """Return the number of channels, and the index of the channel to watch."""
    named = settings.conversion.channels
    wanted = settings.channels_to_run[0]
    if isinstance(named, int):
        digits = wanted.removeprefix("ch")
        return named, int(digits) if digits.isdigit() and int(digits) < named else 0
    return len(named), next((i for i, n in named.items() if n == wanted), 0)


def describe_state(state: LiveState) -> str:
    """Return one line about the state of the live analysis.

    Examples
    --------
    >>> describe_state(LiveState("watching", 300, 290, 4, frame_rate=30.0))
    'frame 290 of 300, 0.3 s behind, 4 events'
    """
    return (
        f"frame {state.done} of {state.frames}, {state.behind:.1f} s behind,"
        f" {state.events} event{'' if state.events == 1 else 's'}"
    )


@contextmanager
def stopping_on_interrupt(stop: threading.Event) -> Iterator[None]:
    """Set ``stop`` on the first Ctrl-C, so that the remaining frames are analysed.

    A second Ctrl-C interrupts. Has no effect outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        logger.warning("stopping; press Ctrl-C again to quit without the full analysis")
        stop.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
