"""A run on a short stretch of a recording, and the configuration that repeats it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from astrocast.detection.suggest import SAMPLE, Suggestion, suggest
from astrocast.io import open_recording
from astrocast.io.stores.event_map import open_event_map
from astrocast.io.stores.event_table import read_events
from astrocast.pipeline.channel_steps import ChannelNames
from astrocast.pipeline.movies import find_movies
from astrocast.pipeline.run import open_source, run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.runtime.provenance import plain
from astrocast.settings.delta import DeltaSettings


@dataclass(frozen=True)
class Preview:
    """What a run finds in a short stretch of a recording.

    Parameters
    ----------
    settings
        Of that run. The same settings give the same events in `run_recording`.
    frames
        First frame of the stretch and the one after its last.
    whole
        Whether the stretch is the whole recording.
    table
        The events that the run found, one row each.
    footprints
        Number of frames in which each pixel is part of one of them, int64 (row,
        column).
    suggestion
        What was measured on the motion-corrected stretch.
    """

    settings: RunSettings
    frames: tuple[int, int]
    whole: bool
    table: pd.DataFrame
    footprints: NDArray[np.int64]
    suggestion: Suggestion

    @property
    def events(self) -> int:
        """Number of events."""
        return len(self.table)

    def configuration(self) -> str:
        """Return a YAML file with which `astrocast run` repeats the preview.

        It says which lines to remove for the whole recording.
        """
        reasons = _reasons(self)
        lines = [
            "# Written by `astrocast suggest`. `astrocast run RECORDING --config` with"
            f" this file gives {self.events} events.",
        ]
        if not self.whole:
            lines.append(
                "# Remove the lines of `conversion` to run the whole recording."
            )
        for section, values in _sections(self).items():
            if not isinstance(values, dict):
                lines.append(f"{section}: {_yaml(values)}")
                continue
            lines.append(f"{section}:")
            for name, value in values.items():
                reason = reasons.get(f"{section}.{name}")
                lines += [f"  # {reason}"] if reason else []
                if isinstance(value, dict):
                    lines.append(f"  {name}:")
                    for inner, item in value.items():
                        reason = reasons.get(f"{section}.{name}.{inner}")
                        lines += [f"    # {reason}"] if reason else []
                        lines.append(f"    {inner}: {_yaml(item)}")
                else:
                    lines.append(f"  {name}: {_yaml(value)}")
        return "\n".join(lines) + "\n"


def preview(
    recording: Path, loc: str | None = None, settings: RunSettings | None = None
) -> Preview:
    """Run all stages on the middle of a recording, in a temporary folder.

    Parameters
    ----------
    recording
        File or folder of a recording.
    loc
        Dataset in it, where it holds several.
    settings
        Of the run; the defaults when None.
    """
    settings = settings or RunSettings()
    if loc is not None:
        settings = _change_section(settings, "conversion", {"loc_in": loc})
    with open_source(recording, settings) as movie:
        frames = movie.shape[0]
    start = max(0, (frames - SAMPLE) // 2)
    stop = min(frames, start + SAMPLE)
    whole = (start, stop) == (0, frames)
    if not whole:
        settings = _change_section(settings, "conversion", {"z_slice": (start, stop)})
    window = settings.delta.window_for(stop - start)
    settings = _change_section(settings, "delta", {"window": window})
    with tempfile.TemporaryDirectory(prefix="astrocast-suggest-") as folder:
        result = run_recording(recording, Path(folder) / "run", settings)
        movie_path = find_movies(result.directory)
        names = ChannelNames.of(settings, settings.channels_to_run[0])
        with open_recording(movie_path, names.corrected) as movie:
            found = suggest(movie, settings.detection.calibration)
        table = read_events(result.store)
        with open_event_map(result.store) as event_map:
            footprints = np.zeros(event_map.shape[1:], np.int64)
            for _, labels in event_map.blocks(64):
                footprints += (labels > 0).sum(axis=0)
    return Preview(settings, (start, stop), whole, table, footprints, found)


def _change_section(
    settings: RunSettings, section: str, values: dict[str, Any]
) -> RunSettings:
    part = getattr(settings, section)
    checked = type(part).checked(**part.model_dump() | values)
    return settings.model_copy(update={section: checked})


def _sections(found: Preview) -> dict[str, Any]:
    """Return the parameters that decide about events, and all changed ones."""
    settings, default = found.settings, RunSettings()
    sections: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value, usual = getattr(settings, name), getattr(default, name)
        if not hasattr(value, "model_dump"):
            if value != usual:
                sections[name] = value
            continue
        changed = _differences(value.model_dump(), usual.model_dump())
        if changed:
            sections[name] = changed
    calibration = settings.detection.calibration
    stated = {
        name: getattr(calibration, name)
        for name in ("smooth_sigma", "false_events", "prominence", "extent", "min_size")
    }
    detection = sections.get("detection", {})
    sections["detection"] = {
        "method": settings.detection.method,
        **detection,
        "calibration": stated | detection.get("calibration", {}),
    }
    return sections


def _differences(values: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            inner = _differences(value, usual[name])
            if inner:
                changed[name] = inner
        elif value != usual[name]:
            changed[name] = value
    return changed


def _reasons(found: Preview) -> dict[str, str]:
    """Return why, by name of the parameter."""
    measured = found.suggestion
    first, stop = found.frames
    calibration = "detection.calibration."
    return {
        "conversion.z_slice": (
            f"the stretch that was looked at, frames {first} to {stop - 1}"
        ),
        "delta.window": _describe_window(found),
        "detection.method": (
            "events are looked for in units of the recording's own noise, here"
            f" {measured.noise:.3g} per pixel"
        ),
        calibration + "smooth_sigma": (
            "about the radius of the smallest events you expect, px and frames;"
            " larger finds weaker, larger events"
        ),
        calibration + "false_events": (
            "events that noise may make per 20 million voxels; this stretch has"
            f" {(stop - first) * measured.mean.size / 1e6:.3g} million"
        ),
        calibration + "prominence": (
            "least prominence of an event, in standard deviations of the smoothed noise"
        ),
        calibration + "extent": (
            "an event ends where it falls below this share of its peak"
        ),
        calibration + "min_size": "smaller events (voxels) are not kept",
    }


def _describe_window(found: Preview) -> str:
    unit = DeltaSettings.model_fields["window"].json_schema_extra
    name = unit["unit"] if isinstance(unit, dict) else "frames"
    return (
        f"{name} on each side that the background is taken from; longer than an event"
    )


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(plain(value), default_flow_style=True, width=1000)
    return text.removesuffix("...\n").strip()
