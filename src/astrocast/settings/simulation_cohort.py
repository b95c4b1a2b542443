"""Parameters of a simulated study."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from astrocast.settings.base import Settings, parameter
from astrocast.settings.simulation_kinds import Range

Effect = Literal["rate", "peak_dff", "duration_s", "area_um2", "response"]


class CohortSettings(Settings):
    """Parameters of a simulated study of animals in groups.

    The same settings give the same study. The levels are nested: events in units
    (places), units in regions (cells), regions in recordings, recordings in animals,
    animals in groups. Each level has its own standard deviation.
    """

    seed: int = parameter(0, "Seed of all random numbers", ge=0)
    groups: tuple[str, ...] = parameter(
        ("control", "treated"), "Groups, the reference first", min_length=1
    )
    animals: int = parameter(6, "Animals in each group", ge=1)
    recordings: int = parameter(2, "Recordings of each animal, on days 1, 2 ...", ge=1)
    frames: int = parameter(3000, "Frames of a recording", unit="frames", ge=10)
    rows: int = parameter(256, "Height of a frame", unit="pixels", ge=32)
    columns: int = parameter(256, "Width of a frame", unit="pixels", ge=32)
    frame_rate: float = parameter(5.0, "Frames per second", unit="Hz", gt=0)
    pixel_size: float = parameter(0.5, "Size of a pixel", unit="um", gt=0)

    regions: int = parameter(9, "Regions (cells) of a recording", ge=1)
    units: int = parameter(
        2, "Units (places at which events recur) in each region", ge=1
    )
    rate: float = parameter(
        0.5, "Mean rate of the events of a unit", unit="1/min", gt=0
    )
    effects: dict[Effect, float] = parameter(
        {},
        "Factor of a value in all groups but the first, for example {rate: 1.5};"
        " 'response' multiplies the probability of a response to a stimulus",
    )
    animal_sd: float = parameter(
        0.25, "Sd of the natural logarithm of each value between animals", ge=0
    )
    recording_sd: float = parameter(
        0.1, "Sd of the natural logarithm between recordings of an animal", ge=0
    )
    unit_sd: float = parameter(
        0.3, "Sd of the natural logarithm between units of a recording", ge=0
    )
    event_sd: float = parameter(
        0.35, "Sd of the natural logarithm between events of a unit", ge=0
    )

    followers: float = parameter(
        0.3, "Fraction of units that follow another unit of the recording", ge=0, le=1
    )
    follow_probability: float = parameter(
        0.7, "Probability that an event of the leader is followed", ge=0, le=1
    )
    delay: Range = parameter(
        (2.0, 8.0), "Delay of a follower; one value per pair is drawn", unit="frames"
    )

    stimulus_interval: float = parameter(
        0.0, "Time between stimuli; 0: no stimuli", unit="s", ge=0
    )
    responders: float = parameter(
        0.5, "Fraction of regions that respond to stimuli", ge=0, le=1
    )
    response_probability: float = parameter(
        0.6, "Probability that such a region responds to a stimulus", ge=0, le=1
    )
    latency: float = parameter(1.5, "Mean latency of a response", unit="s", ge=0)
    latency_sd: float = parameter(0.3, "Sd of the latency", unit="s", ge=0)

    classes: int = parameter(
        1,
        "Classes of events that differ in area, duration and amplitude, one class for"
        " each unit",
        ge=1,
        le=6,
    )
    separation: float = parameter(
        1.2, "Difference of the logarithm of values between neighbouring classes", ge=0
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        wrong = {name: f for name, f in self.effects.items() if f <= 0}
        if wrong:
            raise ValueError(f"effects have to be factors above 0, found {wrong}")
        if len(set(self.groups)) != len(self.groups):
            raise ValueError(f"groups have to be different, found {self.groups}")
        return self

    @property
    def minutes(self) -> float:
        """Length of a recording in minutes."""
        return self.frames / self.frame_rate / 60
