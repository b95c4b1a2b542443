"""Parameters of the analysis of a recording while it is recorded."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from astrocast.settings.base import Settings, parameter


class LiveSettings(Settings):
    """Parameters of `astrocast watch`; those of the stages are those of a run."""

    learn: int = parameter(
        192,
        "Frames at the start from which template, background and noise are learned;"
        " events in them are reported when they are learned. A multiple of 64",
        unit="frames",
        ge=64,
        le=4096,
        multiple_of=64,
    )
    window: int = parameter(
        512,
        "Latest frames from which background and noise are estimated again and again;"
        " much longer than an event",
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
        "An event that is not finished for the detector is reported when it has been"
        " below its extent for this long",
        unit="s",
        ge=0,
        le=60,
    )
    memory: int = parameter(
        512,
        "Memory for the latest frames, from which the table is measured; at least 256"
        " frames and at most 4,096 are held",
        unit="MB",
        ge=16,
    )
    idle: float = parameter(
        30.0,
        "The recording is taken for complete when it has not grown for this long",
        unit="s",
        gt=0,
    )
    settle: float = parameter(
        2.0,
        "A file that does not change for this long is taken for complete",
        unit="s",
        gt=0,
        le=600,
    )
    poll: float = parameter(
        0.1, "Time between two looks at the disk", unit="s", gt=0, le=10
    )
    most_behind: float = parameter(
        20.0,
        "When the live analysis is behind the recording by more than this, it leaves"
        " frames out to catch up and says which; frames that were there at the start"
        " are not left out",
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
                f"learn is {self.learn} and window {self.window} frames; the window is"
                " at least as long as what is learned from"
            )
        return self
