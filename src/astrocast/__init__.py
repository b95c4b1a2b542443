"""From a fluorescence movie of astrocytes to a table of calcium events.

Importing this package imports nothing else: ``astrocast.preparation.Input`` and its
siblings are loaded when they are first named.
"""

from importlib import import_module
from types import ModuleType

__version__ = "0.2.0"

_SUBPACKAGES = (
    "analysis",
    "denoising",
    "detection",
    "errors",
    "io",
    "pipeline",
    "plotting",
    "preparation",
    "simulation",
)

__all__ = ["__version__", *_SUBPACKAGES]


def __getattr__(name: str) -> ModuleType:
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
