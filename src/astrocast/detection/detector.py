"""`Detector`: detect events in a recording."""

from __future__ import annotations

import warnings
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from astrocast.detection.checkpoint import (
    describe_detection,
    is_finished,
    open_checkpoint,
)
from astrocast.detection.inputs import (
    DetectionMovies,
    open_movies,
    prefer_undenoised,
    prepare_inputs,
)
from astrocast.detection.preconditions import check_in_force, derive_levels
from astrocast.detection.run import detect
from astrocast.detection.shared_recording import hold_recording, remove_memory_map
from astrocast.detection.single_event import SharedArray, characterise, read_shared
from astrocast.errors import (
    AstrocastWarning,
    OutputExistsError,
    stack_level,
)
from astrocast.io.naming import is_url, last_part
from astrocast.io.recording import Recording
from astrocast.io.stores.event_store import store_path
from astrocast.runtime.instance_logger import instance_logger
from astrocast.runtime.threads import worker_threads
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.detection import DetectionSettings


class Detector:
    """Detect events: connected voxels that are bright in their frame and time course.

    Parameters
    ----------
    input_path
        Recording, in any format that `astrocast.io.open_recording` reads.
    output
        Directory of the result, which must not exist; None:
        ``<stem>.<last part of loc>.roi`` beside the input.
    logging_level
        Level of the messages, as in `logging`.

    Examples
    --------
    >>> detector = Detector("session/recording.h5")  # doctest: +SKIP
    >>> detector.run(loc="df/ch0")  # doctest: +SKIP
    PosixPath('session/recording.ch0.roi')
    """

    def __init__(
        self,
        input_path: str | Path | Recording,
        output: str | Path | None = None,
        logging_level: int = 20,
    ) -> None:
        #: the input: a path, a URL, or an open recording
        self._source: Any = input_path
        if isinstance(input_path, Recording):
            self.input_path = input_path.path or Path("recording")
        else:
            # for a URL: its last part; results are written to the current directory
            name = str(input_path)
            self.input_path = Path(last_part(name) if is_url(name) else name)
            self._source = name if is_url(name) else self.input_path
        self.output = Path(output) if output is not None else None
        self.logger = instance_logger("astrocast.detection", logging_level)
        #: directory of the result; None before `run`
        self.output_directory: Path | None = None

    def __repr__(self) -> str:
        """Return the input and the directory of the result as text."""
        where = self.output_directory or "not run yet"
        return f"<Detector of {self.input_path}: {where}>"

    def run(
        self,
        loc: str | None = None,
        exclude_border: int | Literal["auto"] = 0,
        threshold: float | Literal["auto"] | None = None,
        use_smoothing: bool = True,
        smooth_radius: int = 2,
        smooth_sigma: float = 2,
        use_spatial: bool = True,
        spatial_min_ratio: float = 1,
        spatial_z_depth: int = 1,
        use_temporal: bool = True,
        temporal_prominence: float | Literal["auto"] = 10,
        temporal_width: float = 3,
        temporal_rel_height: float = 0.9,
        temporal_wlen: int | None = 60,
        temporal_plateau_size: int | None = None,
        comb_type: Literal["&", "|"] = "&",
        fill_holes: bool = True,
        area_threshold: int = 10,
        holes_connectivity: int = 1,
        holes_depth: int = 1,
        remove_objects: bool = True,
        min_size: int = 20,
        object_connectivity: int = 1,
        objects_depth: int = 1,
        fill_holes_first: bool = True,
        lazy: bool = True,
        adjust_for_noise: bool = False,
        z_slice: tuple[int, int] | None = None,
        split_events: bool = False,
        debug: bool = False,
        event_map_export_format: Literal[".tiff", ".h5", ".zarr", ".tdb"] = ".tiff",
        parallel: bool = True,
        use_on_disk_sharing: bool = False,
        *,
        method: str = "default",
        calibration: CalibratedSettings | None = None,
        signal_loc: str | None = None,
        fluorescence_loc: str | None = None,
        check_channels: bool = True,
    ) -> Path:
        """Detect events and write them as an event store.

        An interrupted run continues where it stopped if it is called again with the
        same parameters, and gives the same result. If the default output contains the
        complete result of the same run, it is returned unchanged; the result of another
        run is an error.

        Parameters
        ----------
        loc
            Dataset of the recording, in formats that contain several.
        exclude_border
            Width of the border in pixels in which nothing is detected; "auto" uses the
            invalid border that motion correction stored beside the recording, or 0
            without motion correction.
        threshold
            Absolute level: voxels of the Gaussian-smoothed recording above it are
            active. The smoothing radius and the spatial and temporal criteria then have
            no effect. "auto" chooses a level that noise alone rarely reaches (for dF).
        use_smoothing, smooth_radius, smooth_sigma
            Gaussian filter with a sigma of ``smooth_sigma`` frames and pixels,
            truncated at ``smooth_radius``.
        use_spatial, spatial_min_ratio, spatial_z_depth
            Spatial criterion: voxels above the triangle threshold, computed from their
            frame and ``spatial_z_depth`` frames on either side, in frames with
            mean(active) > spatial_min_ratio * abs(mean(inactive)).
        use_temporal, temporal_prominence, temporal_width, temporal_rel_height,
        temporal_wlen, temporal_plateau_size
            Temporal criterion: voxels in a peak of their time course, defined as in
            `scipy.signal.find_peaks`. With ``temporal_wlen`` None or -1, prominences
            refer to the whole recording, which is then first read in spatial tiles.
        comb_type
            Combination of the criteria: "&" both, "|" at least one.
        fill_holes, area_threshold, holes_connectivity, holes_depth
            Inactive regions of fewer than ``area_threshold`` voxels, within
            ``holes_depth`` frames on either side, become active.
        remove_objects, min_size, object_connectivity, objects_depth
            Active regions of fewer than ``min_size`` voxels, within ``objects_depth``
            frames on either side, are removed.
        fill_holes_first
            Fill holes before removing objects; False: after.
        lazy
            True reads the recording block by block; False loads it into memory.
        adjust_for_noise
            Multiply ``threshold`` by the square root of the recording's noise level.
        z_slice
            (first frame, last frame + 1) to process; the table counts frames of the
            whole recording.
        split_events
            Divide an event if the signal between its maxima drops by more than the
            noise.
        debug
            Store the intermediate steps in ``debug/``.
        event_map_export_format
            Format of the event map.
        parallel
            Use all cores.
        use_on_disk_sharing
            With ``lazy=False``: load the recording into a memory-mapped file instead of
            memory.
        method
            Definition of activity. "default": the criteria above. "calibrated": detect
            in the raw recording, in units of its noise
            (`astrocast.kernels.calibrated`); ``threshold`` and the parameters of
            smoothing, spatial and temporal criteria and cleaning then have no effect.
            Where ``loc`` is a denoised movie, the movie that this was made from is
            searched, if the same file holds it, and traces are of the denoised one.
        calibration
            Parameters of the calibrated method; None: the defaults.
        signal_loc
            Dataset of the same file and shape to take the traces from, for example dF
            if events are detected in the raw recording. None: the dataset ``loc``.
        fluorescence_loc
            Dataset of the same file and shape with the fluorescence, for F0 and dF/F of
            each event. None: the dataset ``loc`` if it contains fluorescence.
        check_channels
            Raise an error if the even and odd frames of a file look like two channels.
            Results of this package, arrays and opened recordings are not checked.

        Returns
        -------
        pathlib.Path
            Directory of the event store, see `astrocast.io.stores.event_store`.

        Raises
        ------
        astrocast.errors.ResultsDifferError
            The output contains the result, or the interrupted run, of other parameters
            or another input.
        astrocast.errors.OutputExistsError
            The given ``output`` exists already.
        """
        settings: DetectionSettings = DetectionSettings.checked(
            exclude_border=exclude_border,
            threshold=threshold,
            use_smoothing=use_smoothing,
            smooth_radius=smooth_radius,
            smooth_sigma=smooth_sigma,
            use_spatial=use_spatial,
            spatial_min_ratio=spatial_min_ratio,
            spatial_z_depth=spatial_z_depth,
            use_temporal=use_temporal,
            temporal_prominence=temporal_prominence,
            temporal_width=temporal_width,
            temporal_rel_height=temporal_rel_height,
            temporal_wlen=temporal_wlen,
            temporal_plateau_size=temporal_plateau_size,
            comb_type=comb_type,
            fill_holes=fill_holes,
            area_threshold=area_threshold,
            holes_connectivity=holes_connectivity,
            holes_depth=holes_depth,
            remove_objects=remove_objects,
            min_size=min_size,
            object_connectivity=object_connectivity,
            objects_depth=objects_depth,
            fill_holes_first=fill_holes_first,
            lazy=lazy,
            adjust_for_noise=adjust_for_noise,
            z_slice=z_slice,
            split_events=split_events,
            debug=debug,
            event_map_export_format=event_map_export_format,
            parallel=parallel,
            use_on_disk_sharing=use_on_disk_sharing,
        )
        check_in_force(method, settings, calibration)
        target = self.output or store_path(self.input_path, loc)
        calibrated = (
            (calibration or CalibratedSettings()) if method == "calibrated" else None
        )
        with ExitStack() as stack:
            movies = open_movies(
                self._source,
                loc,
                signal_loc,
                fluorescence_loc,
                stack,
                check_channels=check_channels,
            )
            if calibrated:
                movies = prefer_undenoised(movies, stack, self.logger)
            pool = (
                stack.enter_context(worker_threads("detect"))
                if settings.parallel
                else None
            )
            self.output_directory = self._run(
                movies, settings, calibrated, loc, target, pool
            )
        return self.output_directory

    def _run(
        self,
        movies: DetectionMovies,
        settings: DetectionSettings,
        calibrated: CalibratedSettings | None,
        loc: str | None,
        target: Path,
        pool: Executor | None,
    ) -> Path:
        searched, known = prepare_inputs(
            movies, settings, is_calibrated=calibrated is not None
        )
        parameters = {
            "loc": loc,
            "method": "calibrated" if calibrated else "default",
            **settings.model_dump(),
            **({"calibration": calibrated.model_dump()} if calibrated else {}),
            **movies.slice_frames(settings.z_slice).describe(),
        }
        who = describe_detection(parameters, searched)
        if self.output is not None and target.exists():
            raise OutputExistsError(
                f"the output {target} exists; choose another output, or remove it"
            )
        if is_finished(target, who):
            self.logger.info("%s contains the result of the same run: reused", target)
            return target
        with open_checkpoint(target, who) as checkpoint:
            if checkpoint.resumed:
                self.logger.info("resuming the interrupted run in %s", checkpoint.path)
            levels = derive_levels(searched, settings, calibrated)
            settings = settings.model_copy(update=levels)
            parameters |= {f"{name} (auto)": level for name, level in levels.items()}
            with hold_recording(searched, settings, checkpoint.path) as at_hand:
                found = detect(
                    at_hand,
                    settings,
                    checkpoint,
                    who,
                    parameters,
                    known,
                    pool,
                    calibrated,
                )
            if found.invalid_voxels:
                warnings.warn(
                    f"{found.invalid_voxels} voxels of {self.input_path} are NaN or"
                    " infinite; they are never part of an event and are not used for"
                    " traces",
                    AstrocastWarning,
                    stacklevel=stack_level(),
                )
            self.logger.info("%d events in %s", found.events, target)
            return checkpoint.finish()

    def characterize_event(
        self,
        event_id: int,
        t0: int,
        t1: int,
        data_info: SharedArray,
        event_info: SharedArray,
        out_path: str | Path,
        split_events: bool = True,
        use_on_disk_sharing: bool = False,
    ) -> int | None:
        """Compute the row of one event of an event map.

        `run` does this for all events at once; use this for a single event.

        Parameters
        ----------
        event_id
            Label of the event in the event map.
        t0, t1
            First frame of the event, and the frame after its last.
        data_info, event_info
            Recording and event map as (shape, dtype, name). The name is that of a
            `multiprocessing.shared_memory.SharedMemory`, or, with
            ``use_on_disk_sharing``, the path of a raw memory-mapped or ``.npy`` file.
        out_path
            Directory for the table of the event; read it with
            `astrocast.io.stores.event_table.read_events`.
        split_events
            Divide the event if the signal drops between its maxima: one row per part,
            named ``<event_id>_<part>``.
        use_on_disk_sharing
            Whether the arrays are files instead of shared memory.

        Returns
        -------
        int or None
            2 if ``out_path`` contains a table already, which then does not change; None
            if the table was written.
        """
        frames = read_shared(data_info, t0, t1, use_on_disk_sharing)
        labels = read_shared(event_info, t0, t1, use_on_disk_sharing)
        return characterise(
            event_id, t0, frames, labels, Path(out_path), split=split_events
        )

    @staticmethod
    def cleanup_mmap(file_path: str | Path | NDArray[Any]) -> None:
        """Close a memory-mapped array and delete its file.

        Parameters
        ----------
        file_path
            Path of the file, or the array that maps it. A missing file is not an error.
        """
        remove_memory_map(file_path)
