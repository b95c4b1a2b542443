"""Parameters of `astrocast.preparation.Delta`."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from astrocast.settings.base import Settings, parameter


class DeltaSettings(Settings):
    """How the background of each pixel is estimated and subtracted."""

    window: int = parameter(
        ...,
        "The background of a frame is estimated from the frame and this many frames"
        " before and after it",
        unit="frames",
        ge=1,
    )
    method: Literal["background", "dF", "dFF"] = parameter(
        "dF",
        "Result: the background, F - background (dF), or (F - background) / background"
        " (dFF)",
    )
    chunk_strategy: Literal["balanced", "XY", "Z"] = parameter(
        "Z", "How a lazy result is cut into chunks"
    )
    chunks: tuple[int, int, int] | None = parameter(
        None,
        "Shape of a chunk (frame, row, column) of a lazy result; overrides the"
        " strategy",
    )
    overwrite_first_frame: bool = parameter(
        True, "Replace frame 0 of the result by frame 1"
    )
    baseline: Literal[
        "minimum",
        "percentile",
        "corrected_minimum",
        "exponential",
        "double_exponential",
    ] = parameter("minimum", "How the background is estimated")
    percentile: float = parameter(
        10.0, "Percentile of the window, for baseline='percentile'", ge=0, le=100
    )
    smooth: int = parameter(
        9,
        "Width of the running mean before the minimum (odd), for"
        " baseline='corrected_minimum'",
        unit="frames",
        ge=1,
    )
    floor: float = parameter(
        1.0, "Lower limit of the divisor of dFF", unit="grey values", gt=0
    )
    check_channels: bool = parameter(
        True,
        "Refuse a file that was not converted if its even and odd frames look like two"
        " channels",
    )

    @field_validator("smooth")
    @classmethod
    def _smooth(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("expected an odd number of frames, at least 1")
        return value
