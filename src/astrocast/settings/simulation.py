"""What a simulated recording is made of."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from astrocast.settings.base import Settings, parameter

Kind = Literal["static", "growing", "travelling", "touching", "long"]
#: SNR of a recording for which neither `snr` nor `photons` is given
DEFAULT_SNR = 4.0


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= pair[0] <= pair[1]:
        raise ValueError("expected (lowest, highest), both at least 0")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]


class SimulationSettings(Settings):
    """Parameters of a simulated recording; the same settings give the same recording,
    to the bit.

    Ranges are (lowest, highest) of a uniform distribution from which each event draws.
    """

    seed: int = parameter(0, "Seed of everything that is random", ge=0)
    frames: int = parameter(300, "Number of frames", unit="frames", ge=1)
    rows: int = parameter(128, "Height of a frame", unit="pixels", ge=16)
    columns: int = parameter(128, "Width of a frame", unit="pixels", ge=16)
    frame_rate: float = parameter(5.0, "Frames per second", unit="Hz", gt=0)
    pixel_size: float = parameter(0.5, "Size of a pixel", unit="micrometres", gt=0)
    dtype: Literal["uint8", "uint16", "float32"] = parameter(
        "uint16", "Type of the movie; integers saturate"
    )

    kinds: tuple[Kind, ...] = parameter(
        ("static", "growing", "travelling"),
        "Kinds of events, in equal parts; 'touching' come as pairs that touch in space"
        " or time, 'long' last a third of the recording",
        min_length=1,
    )
    events: int = parameter(
        20, "Number of events; 0 makes a recording without any", ge=0
    )
    density: float | None = parameter(
        None,
        "Number of events per million voxels, instead of `events`",
        unit="1/Mvoxel",
        ge=0,
    )
    separation: float = parameter(
        3.0,
        "Gap that is kept between events that are not meant to touch",
        unit="pixels or frames",
        ge=0,
    )
    border: float = parameter(
        4.0,
        "Gap kept between an event and the edge of the frame; motion up to this keeps"
        " it in view",
        unit="pixels",
        ge=0,
    )
    overlap: bool = parameter(
        False, "Place events without regard to each other, so that some overlap"
    )

    snr: float | None = parameter(
        None,
        "Peak of an event of middle amplitude over the standard deviation of the noise"
        " of its pixels; the brightness follows from it (4 where neither this nor"
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
        (0.4, 0.8), "Peak of an event over the baseline under it", unit="dF/F"
    )

    radius: Range = parameter(
        (4.0, 8.0), "Radius of the footprint at a quarter of its peak", unit="pixels"
    )
    irregularity: float = parameter(
        0.2, "How far a footprint is from a disc", ge=0, le=0.5
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
        (12.0, 24.0), "How far a travelling event gets before it decays", unit="pixels"
    )

    cell_spacing: float = parameter(
        50.0, "Mean distance of neighbouring somata", unit="pixels", ge=8
    )
    contrast: float = parameter(
        1.0, "Brightness of somata and processes over the background; 0 is flat", ge=0
    )
    bleach_fraction: float = parameter(
        0.2, "Share of the fluorescence that bleaches slowly", ge=0, le=1
    )
    bleach_time: float = parameter(
        200.0, "Time constant of the slow bleaching", unit="frames", gt=0
    )
    bleach_fast_fraction: float = parameter(
        0.0, "Share of the fluorescence that bleaches fast", ge=0, le=1
    )
    bleach_fast_time: float = parameter(
        20.0, "Time constant of the fast bleaching", unit="frames", gt=0
    )
    drift: float = parameter(
        0.02,
        "Largest slow change of the baseline, as a share of it; half of it is local",
        ge=0,
        le=0.5,
    )

    motion: float = parameter(
        2.0,
        "Largest rigid displacement along each axis; 0 for none",
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

    read_noise: float = parameter(
        1.0, "Standard deviation of the read noise", unit="photons", ge=0
    )
    gain: float = parameter(1.0, "Counts per photon", unit="counts/photon", gt=0)
    offset: float = parameter(100.0, "Counts in the dark", unit="counts", ge=0)
    second_channel: bool = parameter(
        False, "Also make a structural channel: the same motion, no events"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.snr is not None and self.photons is not None:
            raise ValueError(
                "give snr or photons, not both: one follows from the other"
            )
        if self.bleach_fraction + self.bleach_fast_fraction > 1:
            raise ValueError(
                "bleach_fraction and bleach_fast_fraction together are at most 1"
            )
        if self.radius[0] < 1:
            raise ValueError("the radius is at least 1 pixel")
        if self.decay[0] <= 0 or self.amplitude[0] <= 0:
            raise ValueError("decay and amplitude are above 0")
        if "travelling" in self.kinds and self.speed[0] <= 0:
            raise ValueError("the speed of travelling events is above 0")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the recording: (frame, row, column)."""
        return self.frames, self.rows, self.columns

    @property
    def event_count(self) -> int:
        """Number of events asked for."""
        if self.density is None:
            return self.events
        return round(self.density * self.frames * self.rows * self.columns / 1e6)

    @property
    def mean_photons(self) -> float:
        """Mean photons per pixel and frame before bleaching, given or as the stated SNR
        needs it.

        With amplitude A (dF/F), read noise r and brightness P the SNR is ``A P / sqrt(P
        + r**2)``.
        """
        if self.photons is not None:
            return self.photons
        square = (self.snr or DEFAULT_SNR) ** 2
        amplitude = sum(self.amplitude) / 2
        root = (square**2 + 4 * square * (amplitude * self.read_noise) ** 2) ** 0.5
        return float((square + root) / (2 * amplitude**2))
