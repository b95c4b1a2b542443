"""Parameters of the calibrated detection, which measures in units of the noise."""

from __future__ import annotations

from astrocast.settings.base import LONGEST_SIGMA, Settings, parameter


class CalibratedSettings(Settings):
    """Parameters of `Detector.run(method="calibrated")`, in units of the noise."""

    smooth_sigma: float = parameter(
        1.5,
        "Standard deviation of the Gaussian filter, in space and in time",
        unit="px and frames",
        gt=0,
        le=LONGEST_SIGMA,
    )
    false_events: float = parameter(
        0.1,
        "Expected number of false events from noise alone, per 20 million voxels",
        unit="1/(20 Mvoxel)",
        gt=0,
        lt=100,
    )
    candidate: float = parameter(
        2.5,
        "Voxels above this height are candidates, in standard deviations of the"
        " smoothed noise",
        ge=1,
        le=5,
    )
    prominence: float = parameter(
        2.0,
        "Least prominence of a maximum, in standard deviations of the smoothed noise",
        ge=0,
    )
    dip: float = parameter(
        0.04,
        "Two touching parts are separate events if the border between them is lower"
        " than both by this fraction",
        ge=0,
        le=1,
    )
    dip_in_time: float = parameter(
        0.2, "Like dip, for two successive peaks in the same place", ge=0, le=1
    )
    border_doubt: float = parameter(
        0.4,
        "Allowance for noise when the whole border between two parts is compared with"
        " them",
        unit="standard deviations",
        ge=0,
    )
    pass_doubt: float = parameter(
        4.5,
        "Allowance for noise when the highest voxel of the border is compared with the"
        " peaks",
        unit="standard deviations",
        ge=0,
    )
    extent: float = parameter(
        0.3,
        "An event extends to voxels above this fraction of its smoothed peak (0.3"
        " corresponds to about 25 % of the unsmoothed peak)",
        gt=0,
        lt=1,
    )
    overlap: bool = parameter(
        True,
        "Events may share voxels with a stronger event; the event map then shows the"
        " stronger one",
    )
    foot: float = parameter(
        0.12, "A hill ends below this fraction of its maximum", ge=0, lt=1
    )
    background_error: float = parameter(
        0.002,
        "Lower limit of the relative error of the background",
        ge=0,
        le=0.5,
    )
    stretch: int = parameter(
        512, "Frames from which a background is estimated", unit="frames", ge=32
    )
    min_size: int = parameter(
        8, "Least number of voxels of an event", unit="voxels", ge=1
    )

    @property
    def reach(self) -> int:
        """Radius of the Gaussian filter, in pixels and frames."""
        return max(1, round(2.7 * self.smooth_sigma))

    @property
    def sigma(self) -> tuple[float, float]:
        """Standard deviation of the Gaussian in space and in time."""
        return self.smooth_sigma, self.smooth_sigma
