"""Kinds of simulated events, and the type of a range of values."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator

#: events defined by a formula, independent of the tissue
FormulaKind = Literal["static", "growing", "travelling", "touching", "long"]
#: events that follow the tissue
TissueKind = Literal[
    "domain",
    "soma",
    "branch",
    "endfoot",
    "wave",
    "cell_wave",
    "whole_field",
    "several_peaks",
    "plateau",
    "repeats",
    "long_tail",
]
Kind = FormulaKind | TissueKind
FORMULA_KINDS: tuple[str, ...] = get_args(FormulaKind)
TISSUE_KINDS: tuple[str, ...] = get_args(TissueKind)
#: SNR of a recording if neither `snr` nor `photons` is given
DEFAULT_SNR = 4.0


def _order_pair(pair: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= pair[0] <= pair[1]:
        raise ValueError("expected (lowest, highest), both at least 0")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_order_pair)]
