"""Which parameters of the detection each method uses."""

from __future__ import annotations

from typing import Any

from astrocast.settings.base import Settings
from astrocast.settings.detection import DetectionSettings

#: parameters of `DetectionSettings` that every method uses
_SHARED = frozenset(
    {
        "exclude_border",
        "lazy",
        "z_slice",
        "split_events",
        "event_map_export_format",
        "parallel",
        "use_on_disk_sharing",
    }
)
#: parameters that an absolute threshold replaces
_REPLACED_BY_THRESHOLD = frozenset(
    {
        "smooth_radius",
        "use_spatial",
        "spatial_min_ratio",
        "spatial_z_depth",
        "use_temporal",
        "temporal_prominence",
        "temporal_width",
        "temporal_rel_height",
        "temporal_wlen",
        "temporal_plateau_size",
        "comb_type",
    }
)


def unused_parameters(method: str, has_threshold: bool = False) -> frozenset[str]:
    """Return the parameters of `DetectionSettings` that a method does not use.

    Parameters
    ----------
    method
        "default" or "calibrated".
    has_threshold
        Whether an absolute threshold is given; it replaces the criteria of the default
        method.

    Examples
    --------
    >>> "temporal_prominence" in unused_parameters("calibrated")
    True
    >>> sorted(unused_parameters("default"))
    []
    """
    if method == "calibrated":
        return frozenset(DetectionSettings.model_fields) - _SHARED
    return _REPLACED_BY_THRESHOLD if has_threshold else frozenset()


def ineffective_parameters(method: str, settings: DetectionSettings) -> list[str]:
    """Return the changed parameters without effect, in the order of declaration."""
    unused = unused_parameters(method, settings.threshold is not None)
    return [
        name
        for name, field in DetectionSettings.model_fields.items()
        if name in unused and getattr(settings, name) != field.default
    ]


def describe_ineffective(method: str, names: list[str]) -> str:
    """Return the message about parameters that have no effect.

    >>> describe_ineffective("default", ["comb_type"])
    'comb_type has no effect: the absolute threshold replaces it'
    """
    verb = "has" if len(names) == 1 else "have"
    listed = ", ".join(names)
    if method == "calibrated":
        return (
            f"{listed} {verb} no effect with method 'calibrated', which measures in"
            " units of the noise: set calibration.prominence,"
            " calibration.smooth_sigma, calibration.extent, calibration.min_size or"
            " calibration.false_events instead, or choose method 'default'"
        )
    them = "it" if len(names) == 1 else "them"
    return f"{listed} {verb} no effect: the absolute threshold replaces {them}"


def used_values(method: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that a detection uses, by name."""
    unused = unused_parameters(method, values.get("threshold") is not None)
    left_out = unused if method == "calibrated" else unused | {"calibration"}
    return {name: value for name, value in values.items() if name not in left_out}


def differs_from_default(settings: Settings | None) -> bool:
    """Return whether any parameter differs from its default."""
    return settings is not None and settings != type(settings)()
