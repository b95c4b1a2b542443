"""The stages of one channel of a run: what they call and where they store results."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrocast.errors import ResultsDifferError
from astrocast.io import open_recording
from astrocast.io.chunks import infer_chunks
from astrocast.io.naming import PARTIAL, last_part
from astrocast.io.stores.beside import Place
from astrocast.io.stores.event_store import store_path
from astrocast.io.stores.event_table import count_events
from astrocast.io.stores.frame_quality import run_table_path
from astrocast.io.stores.registration_store import registration_place
from astrocast.pipeline.directory import Stage
from astrocast.pipeline.gather import Movies
from astrocast.pipeline.movies import RECORDING
from astrocast.pipeline.products import (
    Product,
    StoredDataset,
    StoredFile,
    StoredFolder,
)
from astrocast.pipeline.settings import RunSettings
from astrocast.runtime.provenance import plain

if TYPE_CHECKING:
    from astrocast.preparation import MotionCorrection


@dataclass(frozen=True)
class ChannelNames:
    """Names of the datasets of one channel in the recording of a run.

    Parameters
    ----------
    raw, corrected, quiet, signal
        The movie after conversion, after motion correction, after denoising (input of
        dF), and dF itself. If a stage is off, its name is that of the stage before.
    """

    raw: str
    corrected: str
    quiet: str
    signal: str

    @classmethod
    def of(cls, settings: RunSettings, channel: str) -> ChannelNames:
        """Return the names of a channel."""
        named = settings.conversion.channels
        raw = (
            channel
            if isinstance(named, dict)
            else f"{settings.conversion.loc_out}/{channel}"
        )
        last = last_part(channel)
        corrected = f"mc/{last}" if settings.motion.enabled else raw
        quiet = f"denoised/{last}" if settings.denoising.enabled else corrected
        return cls(raw, corrected, quiet, f"df/{last}")


class ReferenceMotion:
    """Motion of the reference channel of a run, estimated at the first call."""

    def __init__(self) -> None:
        self._found: MotionCorrection | None = None

    def motion_of(
        self, recording: Place, loc: str, parameters: dict[str, Any]
    ) -> MotionCorrection:
        """Return the motion of the dataset ``loc``, estimated once.

        Later calls return the same motion; all channels of a run have one reference.
        """
        from astrocast.preparation import MotionCorrection

        if self._found is None:
            found = MotionCorrection()
            found.run(recording, loc=loc, **parameters)
            self._found = found
        return self._found


class ChannelSteps:
    """The stages of one channel.

    Parameters
    ----------
    recording
        File or store that contains all datasets of the run.
    settings
        Settings of the run.
    channel
        Name of the channel.
    is_first
        Whether this is the first channel of the run; the names of the stages of other
        channels end with the name of the channel.
    reference
        Motion of the reference channel, shared by the channels of a run.
    folder
        Directory of the run; None: the folder of ``recording``.
    """

    def __init__(
        self,
        recording: Place,
        settings: RunSettings,
        channel: str,
        is_first: bool,
        reference: ReferenceMotion | None = None,
        folder: Path | None = None,
    ) -> None:
        self.reference = ReferenceMotion() if reference is None else reference
        self.recording, self.settings, self.channel = recording, settings, channel
        self.folder = Path(recording).parent if folder is None else folder
        self.ending = "" if is_first else f" {channel.rsplit('/', 1)[-1]}"
        self.names = ChannelNames.of(settings, channel)
        self.store = store_path(self.folder / RECORDING, self.names.signal)

    @property
    def movies(self) -> Movies:
        """File and datasets of the movies of the channel."""
        names = self.names
        return Movies(
            self.recording, names.raw, names.corrected, names.quiet, names.signal
        )

    def stages(self) -> list[Stage]:
        """Return the stages in order, from motion correction to detection."""
        stages = []
        if self.settings.motion.enabled:
            stages.append(self._motion_stage())
        if self.settings.denoising.enabled:
            stages.append(self._denoising_stage())
        return [*stages, self._delta_stage(), self._detection_stage()]

    def _motion_stage(self) -> Stage:
        from astrocast.preparation.motion_estimate import ALGORITHM_VERSION

        registration = registration_place(self.recording, self.names.corrected)
        products: list[Product] = [StoredDataset(self.recording, self.names.corrected)]
        if isinstance(registration, Path):
            products.append(StoredFile(registration))
        return Stage(
            f"motion{self.ending}",
            plain(self.settings.motion.model_dump(exclude={"enabled"})),
            self.correct_motion,
            tuple(products),
            ALGORITHM_VERSION,
        )

    def _denoising_stage(self) -> Stage:
        from astrocast.denoising.denoiser import ALGORITHM_VERSION

        return Stage(
            f"denoising{self.ending}",
            plain(self._denoiser_parameters()),
            self.denoise,
            (StoredDataset(self.recording, self.names.quiet),),
            ALGORITHM_VERSION,
        )

    def _delta_stage(self) -> Stage:
        from astrocast.preparation.delta import ALGORITHM_VERSION

        return Stage(
            f"delta{self.ending}",
            plain(self.settings.delta.model_dump()),
            self.correct_bleaching,
            (StoredDataset(self.recording, self.names.signal),),
            ALGORITHM_VERSION,
        )

    def _detection_stage(self) -> Stage:
        from astrocast.detection.checkpoint import ALGORITHM_VERSION

        return Stage(
            f"detection{self.ending}",
            plain(self.settings.detection.model_dump()),
            self.detect,
            (StoredFolder(self.store),),
            ALGORITHM_VERSION,
        )

    @property
    def frames_file(self) -> Path:
        """Path of the table of bad frames of this channel, in the run directory."""
        return run_table_path(self.folder, self.ending.strip())

    def correct_motion(self) -> dict[str, Any]:
        """Estimate the motion and write the corrected movie; return facts."""
        from astrocast.io.stores.frame_quality import write_table
        from astrocast.preparation import MotionCorrection

        parameters = self.settings.motion.model_dump(exclude={"enabled"})
        if self.settings.conversion.offset is not None:
            # after subtraction of the offset, dark pixels have noise around zero;
            # clipping the negative values would make F0 too large
            parameters["nonneg_movie"] = False
        reference = self.settings.motion.reference_channel
        if reference is None:
            motion = MotionCorrection()
            motion.run(self.recording, loc=self.names.raw, **parameters)
        else:
            parameters["reference_channel"] = None
            named = ChannelNames.of(self.settings, reference).raw
            motion = self.reference.motion_of(self.recording, named, parameters)
            if named != self.names.raw:
                motion = motion.for_channel(self.names.raw, named)
        motion.save(
            self.recording,
            loc=self.names.corrected,
            chunk_strategy="XY",
            overwrite=True,
        )
        # this table also contains the bad frames that motion correction found
        write_table(self.frames_file, motion.frame_quality)
        found = motion.registration
        return {
            "bad_frames": int(found.quality["bad_frame"].sum()),
            "border": list(found.border),
            "largest_shift_px": round(float(abs(found.shifts).max()), 2),
            "line_offset_px": round(motion.line_offset, 3),
        }

    def _denoiser_parameters(self) -> dict[str, Any]:
        chosen = self.settings.denoising
        seed = self.settings.seed if chosen.seed is None else chosen.seed
        return chosen.model_dump(exclude={"enabled"}) | {"seed": seed}

    def denoise(self) -> dict[str, Any]:
        """Denoise the registered movie; return the measurements as facts."""
        from astrocast.denoising import Denoiser

        with open_recording(self.recording, self.names.corrected) as movie:
            chunks = infer_chunks(movie.shape, np.dtype(np.float32), "XY")
        denoiser = Denoiser(**self._denoiser_parameters())
        denoiser.run(
            self.recording,
            self.names.corrected,
            self.recording,
            self.names.quiet,
            chunks=chunks,
            overwrite=True,
        )
        return denoiser.measurements()

    def correct_bleaching(self) -> dict[str, Any]:
        """Subtract the background of each pixel; return the window as a fact."""
        from astrocast.preparation import Delta

        settings = self.settings.delta
        with open_recording(self.recording, self.names.quiet) as movie:
            window = settings.window_for(len(movie))
        delta = Delta(self.recording, loc=self.names.quiet)
        delta.run(**settings.model_dump() | {"window": window})
        delta.save(
            self.recording, loc=self.names.signal, chunk_strategy="XY", overwrite=True
        )
        return {"window": window}

    def detect(self) -> dict[str, Any]:
        """Detect the events; return their number and the name of the store as facts."""
        from astrocast.detection import Detector

        # a result of other parameters, or of an input that was computed again
        if self.store.exists():
            shutil.rmtree(self.store)
        settings = self.settings.detection
        parameters: dict[str, Any] = settings.model_dump(exclude={"calibration"})
        # calibrated detection needs the noise of the movie itself; traces are of dF
        calibrated = settings.method == "calibrated"
        parameters["loc"] = self.names.corrected if calibrated else self.names.signal
        parameters["signal_loc"] = self.names.signal if calibrated else None
        parameters["fluorescence_loc"] = self.names.quiet
        detector = Detector(self.recording, output=self.store)
        try:
            directory = detector.run(calibration=settings.calibration, **parameters)
        except ResultsDifferError:
            # blocks of an interrupted run with other parameters, in this directory
            shutil.rmtree(self.store.with_name(self.store.name + PARTIAL))
            directory = detector.run(calibration=settings.calibration, **parameters)
        return {
            "events": count_events(directory),
            "store": directory.name,
        }
