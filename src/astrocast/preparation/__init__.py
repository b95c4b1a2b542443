"""Prepare a recording for event detection: convert, correct motion, compute dF/F."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astrocast.preparation.delta import Delta
    from astrocast.preparation.input import Input
    from astrocast.preparation.motion_correction import MotionCorrection

__all__ = ["Delta", "Input", "MotionCorrection"]

_MODULES = {"Delta": "delta", "Input": "input", "MotionCorrection": "motion_correction"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
