"""Parameters of the live analysis: of a recording while it is recorded."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from astrocast.settings.base import Settings, parameter


class LiveSettings(Settings):
    """Parameters of `astrocast watch`; stages have the same parameters as in a run."""

    learn: int = parameter(
        192,
        "Frames at the start from which template, background and noise are estimated;"
        " events in them are reported after that. A multiple of 64",
        unit="frames",
        ge=64,
        le=4096,
        multiple_of=64,
    )
    window: int = parameter(
        512,
        "Number of latest frames from which background and noise are estimated; much"
        " longer than an event. A multiple of 64",
        unit="frames",
        ge=128,
        le=16384,
        multiple_of=64,
    )
    refresh: int = parameter(
        128,
        "Frames after which background and noise are estimated again. A multiple of 64",
        unit="frames",
        ge=64,
        le=4096,
        multiple_of=64,
    )
    margin: float = parameter(
        0.5,
        "An event that the detector has not finished is reported when its signal has"
        " been below its extent for this time",
        unit="s",
        ge=0,
        le=60,
    )
    frame_memory: int = parameter(
        512,
        "Memory for the latest frames, from which the event table is measured; at least"
        " 256 and at most 4,096 frames",
        unit="MB",
        ge=16,
    )
    idle: float = parameter(
        30.0,
        "The recording is complete if it has not grown for this time",
        unit="s",
        gt=0,
    )
    settle: float = parameter(
        2.0,
        "A file is complete if it has not changed for this time",
        unit="s",
        gt=0,
        le=600,
    )
    poll: float = parameter(
        0.1, "Interval at which new frames are searched", unit="s", gt=0, le=10
    )
    most_behind: float = parameter(
        20.0,
        "If the live analysis is behind the recording by more than this, it skips"
        " frames and reports which; frames that existed at the start are not skipped",
        unit="s",
        gt=0,
    )
    analyse: bool = parameter(
        True, "Run the full analysis when the recording is complete"
    )

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if self.learn > self.window:
            raise ValueError(
                f"learn is {self.learn} and window {self.window} frames; window has to"
                " be at least as long as learn"
            )
        return self
