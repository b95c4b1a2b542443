"""Parameters of a simulated recording."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from astrocast.settings.base import Settings, parameter
from astrocast.settings.simulation_kinds import (
    DEFAULT_SNR,
    TISSUE_KINDS,
    Kind,
    Range,
)


class SimulationSettings(Settings):
    """Parameters of a simulated recording.

    The same settings give exactly the same recording. Each component has its own random
    numbers: adding one changes neither the events nor the other components. Ranges are
    (lowest, highest) of a uniform distribution from which the value of each event is
    drawn.

    Examples
    --------
    >>> settings = SimulationSettings.preset("waves", snr=2.0, seed=3)
    >>> settings.counts, settings.shape
    ({'wave': 14}, (250, 144, 144))
    """

    seed: int = parameter(0, "Seed of all random numbers", ge=0)
    frames: int = parameter(300, "Number of frames", unit="frames", ge=1)
    rows: int = parameter(128, "Height of a frame", unit="pixels", ge=16)
    columns: int = parameter(128, "Width of a frame", unit="pixels", ge=16)
    frame_rate: float = parameter(5.0, "Frames per second", unit="Hz", gt=0)
    pixel_size: float = parameter(0.5, "Size of a pixel", unit="micrometres", gt=0)
    dtype: Literal["uint8", "uint16", "float32"] = parameter(
        "uint16", "dtype of the movie; values outside the range of an integer saturate"
    )

    kinds: tuple[Kind, ...] = parameter(
        ("static", "growing", "travelling"),
        "Kinds of events, in equal numbers; 'touching': pairs that touch in space or"
        " time, 'long': a third of the recording, 'repeats': several events in one"
        " place",
        min_length=1,
    )
    counts: dict[Kind, int] | None = parameter(
        None, "Number of events of each kind, instead of `kinds` and `events`"
    )
    events: int = parameter(20, "Number of events; 0: a recording without events", ge=0)
    density: float | None = parameter(
        None,
        "Number of events per million voxels, instead of `events`",
        unit="1/Mvoxel",
        ge=0,
    )
    separation: float = parameter(
        3.0,
        "Least distance of events that are not supposed to touch",
        unit="pixels or frames",
        ge=0,
    )
    border: float = parameter(
        4.0,
        "Least distance of an event from the edge of the frame; smaller motion does not"
        " move it out of view",
        unit="pixels",
        ge=0,
    )
    overlap: bool = parameter(
        False, "Place events independently of each other, so that some overlap"
    )

    snr: float | None = parameter(
        None,
        "Peak of an event of mean amplitude divided by the standard deviation of the"
        " noise of its pixels; it determines the brightness (4 if neither this nor"
        " `photons` is given)",
        gt=0,
    )
    photons: float | None = parameter(
        None,
        "Mean photons per pixel and frame before bleaching, instead of `snr`",
        unit="photons",
        gt=0,
    )
    amplitude: Range = parameter(
        (0.4, 0.8), "Peak of an event relative to its baseline", unit="dF/F"
    )

    radius: Range = parameter(
        (4.0, 8.0), "Radius of the footprint at a quarter of its peak", unit="pixels"
    )
    irregularity: float = parameter(
        0.2, "Deviation of a footprint from a disc", ge=0, le=0.5
    )
    rise: Range = parameter((2.0, 4.0), "Time from onset to plateau", unit="frames")
    plateau: Range = parameter((1.0, 6.0), "Time at the plateau", unit="frames")
    decay: Range = parameter((3.0, 8.0), "Time constant of the decay", unit="frames")
    growth: Range = parameter(
        (8.0, 16.0), "Time in which a growing event reaches its radius", unit="frames"
    )
    speed: Range = parameter(
        (0.5, 1.5), "Speed of a travelling event", unit="pixels/frame"
    )
    path: Range = parameter(
        (12.0, 24.0), "Distance that a travelling event moves", unit="pixels"
    )

    domain_area: Range = parameter(
        (5.0, 40.0), "Area of a 'domain' at half of its peak", unit="pixels"
    )
    patch_area: Range = parameter(
        (60.0, 180.0),
        "Area of a 'branch', 'several_peaks', 'plateau', 'repeats', 'long_tail' event",
        unit="pixels",
    )
    endfoot_length: Range = parameter(
        (12.0, 30.0), "Length of an 'endfoot' event along the vessel", unit="pixels"
    )
    wave_speed: Range = parameter(
        (0.7, 4.0), "Speed of a wave along its path", unit="pixels/frame"
    )
    wave_path: Range = parameter(
        (22.0, 50.0), "Distance that a 'wave' moves along the branches", unit="pixels"
    )
    cell_wave_path: Range = parameter(
        (30.0, 55.0), "Distance that a 'cell_wave' moves from its origin", unit="pixels"
    )
    peaks: tuple[int, int] = parameter(
        (2, 4), "Number of peaks of a 'several_peaks' event"
    )
    peak_interval: Range = parameter(
        (7.0, 14.0), "Time between the peaks of an event", unit="frames"
    )
    repeats: tuple[int, int] = parameter(
        (3, 5), "Number of 'repeats' events in one place"
    )
    long_plateau: Range = parameter(
        (20.0, 50.0), "Time at the plateau of a 'plateau' event", unit="frames"
    )
    long_decay: Range = parameter(
        (20.0, 40.0), "Time constant of the decay of a 'long_tail'", unit="frames"
    )
    hot_spot: float = parameter(
        0.4,
        "Fraction of the height of a tissue event that is due to a hot spot",
        ge=0,
        lt=1,
    )
    texture: float = parameter(
        0.25, "Relative sd of the height within a tissue event", ge=0, le=1
    )
    soft_edge: float = parameter(
        0.9, "Gaussian blur of the outline of a tissue event", unit="pixels", ge=0.3
    )

    tissue: Literal["auto", "cells", "astrocytes"] = parameter(
        "auto",
        "Tissue in the baseline: 'cells': somata with processes; 'astrocytes': also a"
        " vessel with endfeet, on a canvas whose size does not depend on the motion;"
        " 'auto': 'astrocytes' if an event or a disturbance needs it, else 'cells'",
    )
    vessel_radius: float = parameter(
        6.0, "Radius of the vessel of 'astrocytes'; 0: none", unit="pixels", ge=0
    )
    cell_spacing: float = parameter(
        50.0, "Mean distance of neighbouring somata", unit="pixels", ge=8
    )
    contrast: float = parameter(
        1.0, "Brightness of somata and processes above the background; 0: flat", ge=0
    )
    bleach_fraction: float = parameter(
        0.2, "Fraction of the fluorescence that bleaches slowly", ge=0, le=1
    )
    bleach_time: float = parameter(
        200.0, "Time constant of the slow bleaching", unit="frames", gt=0
    )
    bleach_fast_fraction: float = parameter(
        0.0, "Fraction of the fluorescence that bleaches fast", ge=0, le=1
    )
    bleach_fast_time: float = parameter(
        20.0, "Time constant of the fast bleaching", unit="frames", gt=0
    )
    drift: float = parameter(
        0.02,
        "Largest slow change of the baseline, as a fraction of it; half is local",
        ge=0,
        le=0.5,
    )

    z_drift: float = parameter(
        0.0,
        "Slow change of the pattern as the focus drifts: relative sd, over pixels, of"
        " the change from the first to the last frame",
        ge=0,
        le=1,
    )
    background: float = parameter(
        0.0,
        "Diffuse light from outside the focal plane that changes over time: sd, as a"
        " fraction of the mean brightness",
        ge=0,
        le=1,
    )
    background_scale: float = parameter(
        15.0, "Gaussian sd of the patches of diffuse light", unit="pixels", ge=2
    )
    background_time: float = parameter(
        6.0, "Gaussian sd of the diffuse light in time", unit="frames", ge=0.5
    )
    vessel_pulsation: float = parameter(
        0.0,
        "Sd of the radius of the vessel over time; the tissue beside it moves with it",
        unit="pixels",
        ge=0,
        le=3,
    )
    vessel_time: float = parameter(
        6.0, "Gaussian sd of the change of the radius in time", unit="frames", ge=0.5
    )
    flicker: float = parameter(
        0.0, "Relative sd of the illumination from frame to frame", ge=0, le=0.3
    )

    motion: float = parameter(
        2.0,
        "Largest rigid displacement along each axis; 0: none",
        unit="pixels",
        ge=0,
    )
    motion_step: float = parameter(
        0.2, "Standard deviation of a step of the random walk", unit="pixels", ge=0
    )
    jumps: int = parameter(0, "Number of sudden displacements", ge=0)
    deformation: float = parameter(
        0.0,
        "Largest displacement of the smooth non-rigid motion along each axis",
        unit="pixels",
        ge=0,
    )
    deformation_scale: float = parameter(
        64.0, "Distance over which the non-rigid motion varies", unit="pixels", ge=8
    )
    deformation_time: float = parameter(
        100.0, "Time over which the non-rigid motion varies", unit="frames", ge=1
    )

    line_motion: float = parameter(
        0.0,
        "Largest displacement of the lines within a scanned frame along each axis",
        unit="pixels",
        ge=0,
    )
    line_motion_time: float = parameter(
        30.0, "Time over which the lines' displacement varies", unit="lines", ge=1
    )
    bidirectional: float = parameter(
        0.0,
        "Displacement of odd rows to the right: phase error of a bidirectional scan",
        unit="pixels",
    )

    hot_pixels: int = parameter(
        0, "Pixels that emit light without tissue; every second one blinks", ge=0
    )
    hot_photons: float = parameter(
        2.0, "Light of a hot pixel, as a multiple of the mean brightness", ge=0
    )
    dead_pixels: int = parameter(0, "Pixels without any light", ge=0)
    dropped_frames: int = parameter(0, "Frames that are all 0", ge=0)
    repeated_frames: int = parameter(0, "Frames that repeat the one before", ge=0)
    flash_frames: int = parameter(0, "Frames with a flash of light", ge=0)
    flash: float = parameter(
        1.0, "Light of a flash, as a multiple of the mean brightness", ge=0
    )
    laser_off_frames: int = parameter(0, "Frames without light", ge=0)
    lost_line_frames: int = parameter(
        0, "Frames with a block of lines (a tenth to a half of them) that is 0", ge=0
    )
    out_of_focus_frames: int = parameter(0, "Frames that are blurred by 3 pixels", ge=0)

    average_frames: int = parameter(
        1,
        "Length of the acquisition's running mean over frames; above 1 the noise is not"
        " independent between frames",
        ge=1,
    )
    average_pixels: int = parameter(
        1, "Length of the acquisition's running mean over pixels, along each axis", ge=1
    )
    bits: int | None = parameter(
        None, "Bits of the camera, for an integer `dtype`: counts saturate", ge=1, le=16
    )
    gain_noise: float = parameter(
        0.0,
        "Relative sd g of the pulse of one photon in a photomultiplier; the variance of"
        " the photon noise is multiplied by 1 + g²",
        ge=0,
        le=3,
    )
    read_noise: float = parameter(
        1.0, "Standard deviation of the read noise", unit="photons", ge=0
    )
    gain: float = parameter(1.0, "Counts per photon", unit="counts/photon", gt=0)
    offset: float = parameter(100.0, "Counts without light", unit="counts", ge=0)
    second_channel: bool = parameter(
        False, "Also make a structural channel: the same motion, no events"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.snr is not None and self.photons is not None:
            raise ValueError("give snr or photons, not both: each determines the other")
        if self.bleach_fraction + self.bleach_fast_fraction > 1:
            raise ValueError(
                "the sum of bleach_fraction and bleach_fast_fraction can be at most 1"
            )
        if self.radius[0] < 1:
            raise ValueError("radius has to be at least 1 pixel")
        if self.decay[0] <= 0 or self.amplitude[0] <= 0:
            raise ValueError("decay and amplitude have to be above 0")
        if "travelling" in self.kinds and self.speed[0] <= 0:
            raise ValueError("speed has to be above 0 for travelling events")
        self._check_tissue()
        return self

    def _check_tissue(self) -> None:
        if min(self.wave_speed[0], self.domain_area[0], self.patch_area[0]) <= 0:
            raise ValueError(
                "wave_speed, domain_area and patch_area have to be above 0"
            )
        for name, least in (("peaks", 1), ("repeats", 1)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise ValueError(
                    f"{name} has to be (lowest, highest), both at least {least}"
                )
        if self.counts and min(self.counts.values()) < 0:
            raise ValueError("counts have to be at least 0")
        if self.tissue == "cells" and self._needs_astrocytes:
            raise ValueError(
                "tissue='cells' has no vessel and no paths; set tissue to 'auto' or"
                " 'astrocytes' for vessel_pulsation and the kinds "
                + ", ".join(TISSUE_KINDS)
            )
        if self.vessel_radius == 0 and (
            self.vessel_pulsation > 0 or "endfoot" in self.kind_counts
        ):
            raise ValueError(
                "vessel_pulsation and the kind 'endfoot' need vessel_radius above 0"
            )
        if self.bits is not None and self.dtype == "float32":
            raise ValueError("bits needs an integer dtype: uint8 or uint16")

    @classmethod
    def preset(cls, name: str, snr: float | None = None, **changes: Any) -> Self:
        """Return the settings of a recording of 250 x 144 x 144 for a purpose.

        Parameters
        ----------
        name
            A purpose, one of `astrocast.settings.simulation_presets.PRESETS`:
            ``"mixed"``: many kinds of events, photomultiplier noise only;
            ``"nuisances"``: the same with many disturbances; ``"waves"``,
            ``"several_peaks"`` ...: a single kind of event;
            ``"event_free_<disturbance>"``: no events, one disturbance.
        snr
            Signal-to-noise ratio of an event of mean amplitude; None: 2.
        **changes
            Other parameters, for example ``seed``.

        Raises
        ------
        InvalidValueError
            The preset is unknown; the message lists all.
        """
        from astrocast.settings.simulation_presets import preset_values

        settings: Self = cls.checked(
            **preset_values(name) | {"snr": 2.0 if snr is None else snr} | changes
        )
        return settings

    @property
    def kind_counts(self) -> dict[str, int]:
        """Number of events of each kind."""
        if self.counts is not None:
            return {str(kind): number for kind, number in self.counts.items()}
        n, size = self.event_count, len(self.kinds)
        shares = [n // size + (turn < n % size) for turn in range(size)]
        found: dict[str, int] = {}
        for kind, number in zip(self.kinds, shares, strict=True):
            found[kind] = found.get(kind, 0) + number
        return found

    @property
    def _needs_astrocytes(self) -> bool:
        kinds = self.kind_counts
        return self.vessel_pulsation > 0 or any(k in TISSUE_KINDS for k in kinds)

    @property
    def astrocytes(self) -> bool:
        """Whether the tissue has a vessel with endfeet and a canvas of fixed size."""
        return self.tissue == "astrocytes" or (
            self.tissue == "auto" and self._needs_astrocytes
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the recording: (frame, row, column)."""
        return self.frames, self.rows, self.columns

    @property
    def event_count(self) -> int:
        """Number of events to simulate."""
        if self.counts is not None:
            return sum(self.counts.values())
        if self.density is None:
            return self.events
        return round(self.density * self.frames * self.rows * self.columns / 1e6)

    @property
    def mean_photons(self) -> float:
        """Mean photons per pixel and frame before bleaching, derived from the SNR.

        With amplitude A (dF/F), read noise r, gain noise g and brightness P the SNR is
        ``A P / sqrt(P (1 + g**2) + r**2)``.
        """
        if self.photons is not None:
            return self.photons
        square = (self.snr or DEFAULT_SNR) ** 2
        amplitude = sum(self.amplitude) / 2
        square *= self.excess
        root = (
            square**2 + 4 * square * (amplitude * self.read_noise) ** 2 / self.excess
        ) ** 0.5
        return float((square + root) / (2 * amplitude**2))

    @property
    def excess(self) -> float:
        """Excess noise factor: 1 plus the square of the gain noise."""
        return 1.0 + self.gain_noise**2
