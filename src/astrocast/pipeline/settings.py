"""Parameters of a run: those of its stages, with the defaults for a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from astrocast.pipeline import configuration
from astrocast.settings.base import Settings, parameter
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.conversion import ConversionSettings
from astrocast.settings.delta import DeltaSettings
from astrocast.settings.denoising import DenoiserSettings
from astrocast.settings.detection import Border, DetectionSettings
from astrocast.settings.in_force import (
    describe_ineffective,
    differs_from_default,
    ineffective_parameters,
    unused_parameters,
)
from astrocast.settings.live import LiveSettings
from astrocast.settings.motion import MotionSettings

#: remark on parameters that the calibrated method does not use
_ONLY_DEFAULT = "only with detection.method=default"
#: groups that stages write to, in the recording of a run
USED_GROUPS = ("mc", "denoised", "df", "checksums")


class ConversionStage(ConversionSettings):
    """Conversion in a run; the default dtype is that of the recording."""

    dtype: Any = parameter(
        None,
        "dtype of the result (values are clipped to its range). Empty: the dtype of the"
        " recording",
    )
    chunk_strategy: Any = parameter(
        "XY", "Shape of the chunks in the file: balanced, XY or Z"
    )

    @field_validator("dtype")
    @classmethod
    def _dtype(cls, value: Any) -> Any:
        return value if value is None else ConversionSettings._dtype(value)


class MotionStage(MotionSettings):
    """Motion correction in a run."""

    enabled: bool = parameter(
        True, "Correct motion; switch off if the recording is registered already"
    )


class DenoisingStage(DenoiserSettings):
    """Denoising in a run; off by default."""

    enabled: bool = parameter(
        False,
        "Denoise the registered movie; dF and traces are computed from the denoised"
        " movie. Calibrated detection still uses the registered movie",
    )
    seed: int | None = parameter(  # type: ignore[assignment] # None: the seed of the run
        None, "Seed of all random choices. Empty: the seed of the run"
    )


class DeltaStage(DeltaSettings):
    """Bleach correction in a run."""

    baseline: Literal[
        "minimum",
        "percentile",
        "corrected_minimum",
        "exponential",
        "double_exponential",
    ] = parameter(
        "corrected_minimum",
        "Method that estimates the background; 'minimum' is too low by about two"
        " standard deviations of the noise",
    )
    window: int | None = parameter(  # type: ignore[assignment] # None: from the recording's length
        None,
        "The background of a frame is estimated from this many frames on each side;"
        " longer than an event. Empty: a quarter of the recording, between 20 and 300"
        " frames",
        unit="frames",
        ge=1,
    )

    def window_for(self, frames: int) -> int:
        """Return the window for a recording of ``frames`` frames."""
        return (
            self.window
            if self.window is not None
            else min(max(20, min(frames // 4, 300)), frames - 1)
        )


class DetectionStage(DetectionSettings):
    """Detection in a run."""

    method: Literal["calibrated", "default"] = parameter(
        "calibrated",
        "'calibrated' detects events in the registered movie in units of its noise;"
        " 'default' detects them in dF by the parameters below",
    )
    exclude_border: Border = parameter(
        "auto",
        "Width of the border in which no event is detected; 'auto': the pixels that"
        " motion moved out of view",
        unit="px",
    )
    calibration: CalibratedSettings = Field(default_factory=CalibratedSettings)

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        names = ineffective_parameters(self.method, self)
        if names:
            raise ValueError(describe_ineffective(self.method, names))
        if self.method == "default" and differs_from_default(self.calibration):
            raise ValueError(
                "the parameters of `calibration` have no effect with method 'default':"
                " choose method 'calibrated', or leave them out"
            )
        return self


class RunSettings(Settings):
    """All settings of `astrocast run`."""

    seed: int = parameter(1, "Seed of all random choices")
    channel: str | tuple[str, ...] = parameter(
        "ch0",
        "Channel in which events are detected, or a list of channels: [ch0, ch1]",
        min_length=1,
    )
    frame_rate: float | None = parameter(
        None, "Frames per second. Empty: the value in the file", unit="Hz", gt=0
    )
    pixel_size: float | None = parameter(
        None, "Size of a pixel. Empty: the value in the file", unit="um", gt=0
    )
    storage: Literal["hdf5", "zarr"] = parameter(
        "hdf5",
        "Storage of the movies of a run: hdf5 (recording.h5), or zarr (recording.zarr),"
        " which the workers of a cluster can write in parallel",
    )
    movies: str | None = parameter(
        None,
        "Folder behind a URL that the movies of a run are written to, as zarr, for"
        " example s3://bucket/session; they are in the output directory where this is"
        " not given",
    )
    conversion: ConversionStage = Field(default_factory=ConversionStage)
    motion: MotionStage = Field(default_factory=MotionStage)
    denoising: DenoisingStage = Field(default_factory=DenoisingStage)
    delta: DeltaStage = Field(default_factory=DeltaStage)
    detection: DetectionStage = Field(default_factory=DetectionStage)
    live: LiveSettings = Field(default_factory=LiveSettings)

    @property
    def channels_to_run(self) -> tuple[str, ...]:
        """The channels in which events are detected, in order."""
        return (self.channel,) if isinstance(self.channel, str) else self.channel

    @field_validator("channel")
    @classmethod
    def _channel(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not isinstance(value, str) and len(set(value)) < len(value):
            raise ValueError("the list names a channel twice")
        return value

    @model_validator(mode="after")
    def _raw_data_are_safe(self) -> Self:
        """Refuse names under which a later stage would overwrite the raw data."""
        channels = self.conversion.channels
        names = (
            list(channels.values())
            if isinstance(channels, dict)
            else [f"{self.conversion.loc_out}/{c}" for c in self.channels_to_run]
        )
        taken = [n for n in names if n.strip("/").split("/")[0] in USED_GROUPS]
        if taken:
            raise ValueError(
                f"conversion: a later stage writes to {', '.join(taken)}; choose a"
                f" group other than {', '.join(USED_GROUPS)} (default: data)"
            )
        return self


def read_configuration(
    path: Path | None, overrides: list[str], loc_in: str | None = None
) -> RunSettings:
    """Return the settings of a run, from YAML and ``stage.parameter=value`` texts."""
    given = [*overrides, f"conversion.loc_in={loc_in}"] if loc_in else overrides
    return configuration.read(RunSettings, path, given)


def read_values(path: Path | None, overrides: list[str]) -> dict[str, Any]:
    """Return the checked values of a file with overrides, as nested dicts."""
    values = configuration.read_values(path, overrides)
    RunSettings.checked(**values)
    return values


def parameter_rows() -> list[configuration.ParameterRow]:
    """Return all parameters of a run.

    A remark marks the detection parameters that calibrated detection does not use.
    """
    unused = unused_parameters(DetectionStage().method)
    return [
        replace(row, description=f"{row.description} ({_ONLY_DEFAULT})")
        if row.name.removeprefix("detection.") in unused
        and row.name.startswith("detection.")
        else row
        for row in configuration.parameter_rows(RunSettings)
    ]


def configuration_template() -> str:
    """Return the text of a commented YAML file with every parameter at its default."""
    return configuration.template(parameter_rows())
