"""Settings of the recordings with which detection and registration are evaluated."""

from __future__ import annotations

from typing import Any

from astrocast.errors import InvalidValueError

#: a two-photon movie with photomultiplier noise only: no motion, no drift
_STILL: dict[str, Any] = {
    "frames": 250,
    "rows": 144,
    "columns": 144,
    "tissue": "astrocytes",
    "motion": 0.0,
    "bleach_fraction": 0.0,
    "drift": 0.0,
    "gain_noise": 0.5,
    "read_noise": 0.5,
    "gain": 5.0,
    "offset": 100.0,
    "events": 0,
}
_MIXED: dict[str, int] = {
    "domain": 14,
    "soma": 6,
    "branch": 6,
    "endfoot": 4,
    "wave": 6,
    "cell_wave": 1,
    "whole_field": 1,
    "several_peaks": 5,
    "plateau": 3,
    "repeats": 8,
    "long_tail": 4,
}
#: disturbances, with the strengths used in the table of false events (documentation)
NUISANCES: dict[str, dict[str, Any]] = {
    "noise": {},
    "flicker": {"flicker": 0.015},
    "bleaching": {
        "bleach_fraction": 0.25,
        "bleach_time": 150.0,
        "bleach_fast_fraction": 0.1,
        "bleach_fast_time": 15.0,
    },
    "z_drift": {"z_drift": 0.09},
    "averaging": {"average_frames": 2},
    "hot_pixels": {"hot_pixels": 25, "dead_pixels": 10},
    "vessel": {"vessel_pulsation": 0.5},
    "background": {"background": 0.025},
    "motion": {"motion": 3.0, "motion_step": 0.3, "jumps": 1},
    "piecewise": {"motion": 1.5, "motion_step": 0.2, "deformation": 1.5},
    "line_motion": {"line_motion": 0.8, "bidirectional": 0.7},
    "flashes": {"flash_frames": 3},
    "bad_frames": {
        "dropped_frames": 2,
        "repeated_frames": 2,
        "laser_off_frames": 2,
        "lost_line_frames": 2,
        "out_of_focus_frames": 2,
    },
    "8_bit": {"dtype": "uint8", "bits": 8, "gain": 1.0, "offset": 5.0},
    "12_bit": {"bits": 12},
}
#: the disturbances that "all" combines
_TOGETHER = (
    "flicker",
    "bleaching",
    "z_drift",
    "hot_pixels",
    "vessel",
    "background",
    "motion",
)


def _merge(names: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for name in names for key, value in NUISANCES[name].items()}


NUISANCES["all"] = _merge(_TOGETHER)

_EVENTS: dict[str, dict[str, Any]] = {
    "mixed": {"counts": _MIXED},
    "nuisances": {"counts": _MIXED} | NUISANCES["all"],
    "flashes": {"counts": _MIXED, "flash_frames": 3},
    "waves": {"counts": {"wave": 14}},
    "cell_waves": {"counts": {"cell_wave": 5}},
    "whole_field": {"counts": {"whole_field": 3}},
    "several_peaks": {"counts": {"several_peaks": 16}},
    "plateaus": {"counts": {"plateau": 12}},
    "domains": {"counts": {"domain": 40}},
    "somata": {"counts": {"soma": 14}},
    "branches": {"counts": {"branch": 20}},
    "endfeet": {"counts": {"endfoot": 14}},
    "repeats": {"counts": {"repeats": 30}},
    "long_tails": {"counts": {"long_tail": 14}},
    "touching": {"kinds": ("touching",), "events": 24},
    "growing": {"kinds": ("growing",), "events": 16},
    "travelling": {"kinds": ("travelling",), "events": 12},
}
PRESETS: dict[str, dict[str, Any]] = {
    **{name: _STILL | values for name, values in _EVENTS.items()},
    **{
        f"event_free_{name}": _STILL | values | {"events": 0}
        for name, values in NUISANCES.items()
    },
    **{
        f"mixed_{name}": _STILL | values | {"counts": _MIXED}
        for name, values in NUISANCES.items()
        if name != "noise"
    },
}


def preset_values(name: str) -> dict[str, Any]:
    """Return the parameters of a preset that differ from the defaults.

    Raises
    ------
    InvalidValueError
        The preset is unknown; the message lists all.
    """
    if name not in PRESETS:
        raise InvalidValueError(
            f"preset {name!r} does not exist; choose one of {', '.join(PRESETS)}"
        )
    return dict(PRESETS[name])
