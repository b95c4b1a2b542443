"""Denoise recordings.

`Denoiser` denoises one recording, with a network that is trained on it, or by SVD of
patches. `SubFrameGenerator` and `Network` train networks on many recordings; they need
Keras, which is imported at their first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astrocast.denoising.denoiser import Denoiser
    from astrocast.denoising.generator import SubFrameGenerator
    from astrocast.denoising.network import Network

__all__ = ["Denoiser", "Network", "SubFrameGenerator"]

_HOMES = {
    "Denoiser": "denoiser",
    "Network": "network",
    "SubFrameGenerator": "generator",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
