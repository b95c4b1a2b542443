"""Parameters of the detection that is calibrated by the recording's own noise."""

from __future__ import annotations

from astrocast.settings.base import LONGEST_SIGMA, Settings, parameter


class CalibratedSettings(Settings):
    """Parameters of `Detector.run(method="calibrated")`, in units of the noise."""

    smooth_sigma: float = parameter(
        1.5,
        "standard deviation of the Gaussian in which events are looked for",
        unit="px and frames",
        gt=0,
        le=LONGEST_SIGMA,
    )
    false_events: float = parameter(
        0.1,
        "events that noise alone may make in 20 million voxels",
        unit="1/(20 Mvoxel)",
        gt=0,
        lt=100,
    )
    candidate: float = parameter(
        2.5,
        "height from which voxels are looked at, in standard deviations of the smoothed"
        " noise",
        ge=1,
        le=5,
    )
    prominence: float = parameter(
        2.0,
        "least prominence of a summit, in standard deviations of the smoothed noise",
        ge=0,
    )
    dip: float = parameter(
        0.04,
        "two events meet where the border between them is lower than both by this"
        " share",
        ge=0,
        le=1,
    )
    dip_in_time: float = parameter(
        0.2, "the same for two events one after the other in the same place", ge=0, le=1
    )
    border_doubt: float = parameter(
        0.4,
        "allowance for noise where a whole border tells two events apart",
        unit="standard deviations",
        ge=0,
    )
    pass_doubt: float = parameter(
        4.5,
        "allowance for noise where a single pass tells two events apart",
        unit="standard deviations",
        ge=0,
    )
    extent: float = parameter(
        0.3,
        "share of its peak that a voxel of an event reaches in the smoothed signal; a"
        " quarter of the true peak, as smoothing widens what it lowers",
        gt=0,
        lt=1,
    )
    overlap: bool = parameter(
        True,
        "an event also has the voxels that it reaches below a stronger one; the map"
        " shows the stronger",
    )
    foot: float = parameter(
        0.12, "share of its summit at which a hill ends", ge=0, lt=1
    )
    background_error: float = parameter(
        0.002,
        "least share of its light that the background of a pixel may be wrong by",
        ge=0,
        le=0.5,
    )
    stretch: int = parameter(
        512, "frames that a background is estimated from", unit="frames", ge=32
    )
    min_size: int = parameter(
        8, "least number of voxels of an event", unit="voxels", ge=1
    )

    @property
    def reach(self) -> int:
        """Where the Gaussian is cut, in pixels and frames."""
        return max(1, round(2.7 * self.smooth_sigma))

    @property
    def sigma(self) -> tuple[float, float]:
        """Standard deviation of the Gaussian in space and in time."""
        return self.smooth_sigma, self.smooth_sigma
