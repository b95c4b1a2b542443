"""Parameters of the event detection."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from astrocast.settings.base import LONGEST_SIGMA, Settings, parameter


def _window(value: int | None) -> int | None:
    # -1 stands for "no window" in scipy, None does so in its signature
    if value is None or value == -1:
        return None
    if value < 2:
        raise ValueError(
            "a window has at least 2 frames; None or -1 takes the whole time course"
        )
    return value


def _frames(value: tuple[int, int] | None) -> tuple[int, int] | None:
    if value is not None and not 0 <= value[0] < value[1]:
        raise ValueError(
            "expected (first frame, frame after the last), with at least one frame"
            " between"
        )
    return value


Border = Annotated[int, Field(ge=0)] | Literal["auto"]
Window = Annotated[int | None, AfterValidator(_window)]
Frames = Annotated[tuple[int, int] | None, AfterValidator(_frames)]
Connectivity = Annotated[int, Field(ge=1, le=3)]


class DetectionSettings(Settings):
    """Parameters of `Detector.run`, apart from which dataset is read."""

    exclude_border: Border = parameter(
        0,
        "pixels along each edge in which nothing is detected; 'auto': the border in"
        " which motion correction has no data",
        unit="px",
    )
    threshold: float | Literal["auto"] | None = parameter(
        None,
        "absolute level above which voxels are active, instead of the spatial and"
        " temporal criteria; 'auto' takes it from the noise",
        unit="signal",
    )
    use_smoothing: bool = parameter(
        True, "smooth in space and time before thresholding"
    )
    smooth_radius: int = parameter(
        2, "where the smoothing Gaussian is cut", unit="px and frames", ge=0, le=4000
    )
    smooth_sigma: float = parameter(
        2,
        "standard deviation of the smoothing Gaussian",
        unit="px and frames",
        ge=0,
        le=LONGEST_SIGMA,
    )
    use_spatial: bool = parameter(
        True, "active voxels stand out of their frame: above its triangle threshold"
    )
    spatial_min_ratio: float = parameter(
        1,
        "least ratio of mean(active) to |mean(inactive)| for a frame to have active"
        " voxels at all",
    )
    spatial_z_depth: int = parameter(
        1,
        "frames on either side that the triangle threshold takes into account",
        unit="frames",
        ge=0,
    )
    use_temporal: bool = parameter(
        True, "active voxels are part of a peak of their time course"
    )
    temporal_prominence: float | Literal["auto"] = parameter(
        10.0,
        "least prominence of a peak; 'auto' takes it from the noise",
        unit="signal",
    )
    temporal_width: float = parameter(3, "least width of a peak", unit="frames", ge=0)
    temporal_rel_height: float = parameter(
        0.9,
        "how far down a peak its width and its ends are taken, as a share of the"
        " prominence",
        ge=0,
    )
    temporal_wlen: Window = parameter(
        60,
        "window around a peak in which its prominence is looked for; None or -1: the"
        " whole recording",
        unit="frames",
    )
    temporal_plateau_size: int | None = parameter(
        None, "least number of equal frames on top of a peak", unit="frames", ge=0
    )
    comb_type: Literal["&", "|"] = parameter(
        "&", "spatial and temporal criterion: both ('&') or either ('|')"
    )
    fill_holes: bool = parameter(True, "fill small holes in active regions")
    area_threshold: int = parameter(
        10, "holes of fewer voxels are filled", unit="voxels", ge=0
    )
    holes_connectivity: Connectivity = parameter(
        1, "what connects voxels of a hole: 1 faces, 2 edges, 3 corners"
    )
    holes_depth: int = parameter(
        1,
        "frames on either side that belong to the window of a hole",
        unit="frames",
        ge=0,
    )
    remove_objects: bool = parameter(True, "remove small active regions")
    min_size: int = parameter(
        20, "regions of fewer voxels are removed", unit="voxels", ge=0
    )
    object_connectivity: Connectivity = parameter(
        1, "what connects voxels of a region: 1 faces, 2 edges, 3 corners"
    )
    objects_depth: int = parameter(
        1,
        "frames on either side that belong to the window of a region",
        unit="frames",
        ge=0,
    )
    fill_holes_first: bool = parameter(
        True, "fill holes before removing small regions, not after"
    )
    lazy: bool = parameter(
        True, "read the recording block by block; False holds it in memory"
    )
    adjust_for_noise: bool = parameter(
        False, "scale `threshold` by the square root of the recording's noise level"
    )
    z_slice: Frames = parameter(
        None, "first frame and the one after the last that are worked on", unit="frames"
    )
    split_events: bool = parameter(
        False, "divide events between whose maxima the signal sinks beyond the noise"
    )
    debug: bool = parameter(
        False, "keep the intermediate steps as recordings in `debug/`"
    )
    event_map_export_format: Literal[".tiff", ".h5", ".zarr", ".tdb"] = parameter(
        ".tiff", "format of the event map"
    )
    parallel: bool = parameter(True, "use all cores; the result is the same")
    use_on_disk_sharing: bool = parameter(
        False,
        "with lazy=False, hold the recording in a memory-mapped file instead of memory",
    )

    @model_validator(mode="after")
    def _has_a_criterion(self) -> Self:
        if self.threshold is None and not (self.use_spatial or self.use_temporal):
            raise ValueError(
                "no criterion for active voxels is set: set use_spatial or"
                " use_temporal, or give an absolute threshold"
            )
        return self

    @property
    def smoothing(self) -> tuple[float, int | None, Literal["nearest", "reflect"]]:
        """Sigma, radius and edges of the Gaussian.

        Radius None: cut at 4 sigma. Sigma 0 leaves the data as they are.
        """
        if self.threshold is not None:
            return self.smooth_sigma, None, "reflect"
        return (
            (self.smooth_sigma if self.use_smoothing else 0.0),
            self.smooth_radius,
            "nearest",
        )
