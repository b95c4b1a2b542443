"""Parameters of the motion correction."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from astrocast.settings.base import Settings, parameter


def _pair(value: Any) -> Any:
    return (
        (value, value)
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else value
    )


def _switch(value: Any) -> Any:
    # YAML reads `off` as false
    return {False: "off", True: "auto"}[value] if isinstance(value, bool) else value


#: two numbers, row then column; a single number applies to both
Pixels = Annotated[
    tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]],
    BeforeValidator(_pair),
]
Lengths = Annotated[
    tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]],
    BeforeValidator(_pair),
]
Sigmas = Annotated[
    tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]],
    BeforeValidator(_pair),
]
LineOffset = Annotated[float, Field(ge=-64, le=64, allow_inf_nan=False)]


class MotionSettings(Settings):
    """Parameters of `MotionCorrection.run`, without the recording."""

    max_shifts: Pixels = parameter(
        (50, 50), "largest shift along rows and columns", unit="px"
    )
    niter_rig: int = parameter(
        3, "the sample is aligned and averaged this many times for the template", ge=1
    )
    splits_rig: int = parameter(
        14, "number of parts of the recording; affects only the size of blocks", ge=1
    )
    num_splits_to_process_rig: int | None = parameter(
        None,
        "number of evenly spaced parts from which the sample for the template is taken;"
        " empty: all",
        ge=1,
    )
    strides: Lengths = parameter(
        (48, 48), "distance between patches, along rows and columns", unit="px"
    )
    overlaps: Pixels = parameter(
        (24, 24), "overlap of neighbouring patches, along rows and columns", unit="px"
    )
    pw_rigid: bool = parameter(
        False,
        "estimate a smooth field of shifts (piecewise-rigid) instead of one shift per"
        " frame",
    )
    splits_els: int = parameter(
        14, "like splits_rig, for piecewise-rigid correction", ge=1
    )
    num_splits_to_process_els: int | None = parameter(
        None, "like num_splits_to_process_rig, for the template of the patches", ge=1
    )
    upsample_factor_grid: int = parameter(
        4,
        "nodes of the smooth field per patch, along each axis; 1: linear interpolation"
        " between the centres of patches",
        ge=1,
        le=64,
    )
    max_deviation_rigid: int = parameter(
        3, "largest difference of a patch's shift from the frame's", unit="px", ge=0
    )
    nonneg_movie: bool = parameter(
        True, "raise negative values of the corrected movie to zero"
    )
    gSig_filt: Sigmas | None = parameter(  # noqa: N815 - the contract's name
        (20, 20),
        "sigma of the high-pass filter (image minus its Gaussian blur) before frames"
        " are compared; empty: no filter",
        unit="px",
    )
    bigtiff: bool = parameter(
        True, "no effect: large TIFF files are always written as BigTIFF"
    )
    engine: Literal["auto", "cpu", "jax"] = parameter(
        "auto",
        "'cpu', 'jax' (GPU), or 'auto': 'jax' if there is a GPU, else 'cpu'",
    )
    bidi: Annotated[Literal["auto", "off"] | LineOffset, BeforeValidator(_switch)] = (
        parameter(
            "auto",
            "displacement of odd lines to the right in a bidirectional scan: a number,"
            " 'off', or 'auto': estimate it and correct it if it is significant",
            unit="px",
        )
    )
    reference_channel: str | None = parameter(
        None,
        "channel (dataset) in which the motion is estimated, for example a structural"
        " dye; its shifts are applied to every channel. Empty: each channel separately",
    )

    line_bands: int = parameter(
        1,
        "number of bands of lines with separate shifts, for motion during the scan of a"
        " frame; each needs at least 8 lines. 1: all lines have the same shift",
        ge=1,
    )

    @model_validator(mode="after")
    def _one_kind_of_field(self) -> Self:
        if self.pw_rigid and self.line_bands > 1:
            raise ValueError(
                "pw_rigid (patches) and line_bands (bands of whole lines) exclude each"
                " other: set only one of them"
            )
        return self

    @property
    def has_field(self) -> bool:
        """Whether parts of a frame have separate shifts: patches, or bands of lines."""
        return self.pw_rigid or self.line_bands > 1

    def without_effect(self) -> dict[str, str]:
        """Return the changed parameters that have no effect, with the reason."""
        patches = "is for the piecewise-rigid correction: set pw_rigid"
        reasons = {
            "bigtiff": "has no effect: large TIFF files are always written as BigTIFF",
            "splits_rig": "does not change the result: it only divides the work",
        }
        if self.has_field:
            reasons["splits_rig"] = "is for the rigid correction: use splits_els"
        if not self.pw_rigid:
            reasons |= dict.fromkeys(("strides", "overlaps"), patches)
        if not self.has_field:
            of_fields = (
                "splits_els",
                "num_splits_to_process_els",
                "upsample_factor_grid",
                "max_deviation_rigid",
            )
            reasons |= dict.fromkeys(of_fields, f"{patches} or line_bands")
        fields = type(self).model_fields
        return {
            name: reason
            for name, reason in reasons.items()
            if getattr(self, name) != fields[name].default
            # with a sample from some of the parts, their number changes the sample
            and not (
                name == "splits_rig"
                and self.num_splits_to_process_rig
                and not self.has_field
            )
        }
