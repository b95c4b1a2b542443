"""Parameters of the event detection."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from astrocast.settings.base import LONGEST_SIGMA, Settings, parameter


def _window(value: int | None) -> int | None:
    # scipy's signature uses None for "no window", its documentation -1
    if value is None or value == -1:
        return None
    if value < 2:
        raise ValueError(
            "expected a window of at least 2 frames, or None or -1 for the whole time"
            " course"
        )
    return value


def _frames(value: tuple[int, int] | None) -> tuple[int, int] | None:
    if value is not None and not 0 <= value[0] < value[1]:
        raise ValueError(
            "expected (first frame, frame after the last), the second larger than the"
            " first"
        )
    return value


Border = Annotated[int, Field(ge=0)] | Literal["auto"]
Window = Annotated[int | None, AfterValidator(_window)]
Frames = Annotated[tuple[int, int] | None, AfterValidator(_frames)]
Connectivity = Annotated[int, Field(ge=1, le=3)]


class DetectionSettings(Settings):
    """Parameters of `Detector.run`, except those that choose the dataset."""

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
        2, "radius of the Gaussian filter", unit="px and frames", ge=0, le=4000
    )
    smooth_sigma: float = parameter(
        2,
        "standard deviation of the Gaussian filter",
        unit="px and frames",
        ge=0,
        le=LONGEST_SIGMA,
    )
    use_spatial: bool = parameter(
        True, "active voxels have to be above the triangle threshold of their frame"
    )
    spatial_min_ratio: float = parameter(
        1,
        "a frame has active voxels only if mean(active) / |mean(inactive)| is at least"
        " this",
    )
    spatial_z_depth: int = parameter(
        1,
        "the triangle threshold is computed from a frame and this many frames before"
        " and after it",
        unit="frames",
        ge=0,
    )
    use_temporal: bool = parameter(
        True, "active voxels have to be part of a peak in the pixel's time course"
    )
    temporal_prominence: float | Literal["auto"] = parameter(
        10.0,
        "least prominence of a peak; 'auto' takes it from the noise",
        unit="signal",
    )
    temporal_width: float = parameter(3, "least width of a peak", unit="frames", ge=0)
    temporal_rel_height: float = parameter(
        0.9,
        "height at which the width and the ends of a peak are measured: this fraction"
        " of the prominence below its top",
        ge=0,
    )
    temporal_wlen: Window = parameter(
        60,
        "length of the window around a peak in which its prominence is measured; None"
        " or -1: the whole recording",
        unit="frames",
    )
    temporal_plateau_size: int | None = parameter(
        None, "least number of equal values at the top of a peak", unit="frames", ge=0
    )
    comb_type: Literal["&", "|"] = parameter(
        "&", "active voxels meet both criteria ('&') or at least one ('|')"
    )
    fill_holes: bool = parameter(True, "fill small holes in active regions")
    area_threshold: int = parameter(
        10, "holes of fewer voxels are filled", unit="voxels", ge=0
    )
    holes_connectivity: Connectivity = parameter(
        1, "voxels of a hole are connected by 1 faces, 2 edges, 3 corners"
    )
    holes_depth: int = parameter(
        1,
        "holes are searched in a frame and this many frames before and after it",
        unit="frames",
        ge=0,
    )
    remove_objects: bool = parameter(True, "remove small active regions")
    min_size: int = parameter(
        20, "regions of fewer voxels are removed", unit="voxels", ge=0
    )
    object_connectivity: Connectivity = parameter(
        1, "voxels of a region are connected by 1 faces, 2 edges, 3 corners"
    )
    objects_depth: int = parameter(
        1,
        "regions are measured in a frame and this many frames before and after it",
        unit="frames",
        ge=0,
    )
    fill_holes_first: bool = parameter(
        True, "fill holes before small regions are removed; False: after"
    )
    lazy: bool = parameter(
        True, "read the recording block by block; False: load it into memory"
    )
    adjust_for_noise: bool = parameter(
        False, "scale `threshold` by the square root of the recording's noise level"
    )
    z_slice: Frames = parameter(
        None, "frames to detect in: first, and last + 1", unit="frames"
    )
    split_events: bool = parameter(
        False, "divide events whose signal dips between two maxima by more than noise"
    )
    debug: bool = parameter(
        False, "store the intermediate steps as recordings in `debug/`"
    )
    event_map_export_format: Literal[".tiff", ".h5", ".zarr", ".tdb"] = parameter(
        ".tiff", "format of the event map"
    )
    parallel: bool = parameter(True, "use all cores; the result is the same")
    use_on_disk_sharing: bool = parameter(
        False,
        "with lazy=False: load the recording into a memory-mapped file, not memory",
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
        """Sigma, radius and edge mode of the Gaussian filter.

        Radius None: 4 sigma. Sigma 0: no filter.
        """
        if self.threshold is not None:
            return self.smooth_sigma, None, "reflect"
        return (
            (self.smooth_sigma if self.use_smoothing else 0.0),
            self.smooth_radius,
            "nearest",
        )
