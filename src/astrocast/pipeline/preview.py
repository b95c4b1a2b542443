"""Run all stages on a short part of a recording; write the configuration to repeat."""

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
    """Result of a run on a short part of a recording.

    Parameters
    ----------
    settings
        Settings of this run. The same settings give the same events in
        `run_recording`.
    frames
        Part of the recording: (first frame, last frame + 1).
    whole
        Whether this is the whole recording.
    table
        The detected events, one row each.
    footprints
        int64 (row, column): number of frames in which the pixel belongs to an event.
    suggestion
        Noise, light and SNR, measured on the motion-corrected part.
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
        """Return a YAML text with which `astrocast run` repeats the preview.

        Comments explain the values and say which lines to remove for the whole
        recording.
        """
        reasons = _list_reasons(self)
        lines = [
            "# Written by `astrocast suggest`. `astrocast run RECORDING --config` with"
            f" this file gives {self.events} events.",
        ]
        if not self.whole:
            lines.append(
                "# Remove the lines of `conversion` to run the whole recording."
            )
        for section, values in _choose_sections(self).items():
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
    """Run all stages on the middle part of a recording, in a temporary folder.

    Parameters
    ----------
    recording
        File or folder of a recording.
    loc
        Dataset, if the file contains several.
    settings
        Settings of the run; None: the defaults.
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


def _choose_sections(found: Preview) -> dict[str, Any]:
    """Return the parameters to write: all changed ones and the main detection ones."""
    settings, default = found.settings, RunSettings()
    sections: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value, usual = getattr(settings, name), getattr(default, name)
        if not hasattr(value, "model_dump"):
            if value != usual:
                sections[name] = value
            continue
        changed = _list_changes(value.model_dump(), usual.model_dump())
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


def _list_changes(values: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """Return the values that differ from the usual ones, at any depth."""
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            inner = _list_changes(value, usual[name])
            if inner:
                changed[name] = inner
        elif value != usual[name]:
            changed[name] = value
    return changed


def _list_reasons(found: Preview) -> dict[str, str]:
    """Return name of a parameter -> comment that explains its value."""
    measured = found.suggestion
    first, stop = found.frames
    calibration = "detection.calibration."
    return {
        "conversion.z_slice": (
            f"the part of the recording that was analysed, frames {first} to {stop - 1}"
        ),
        "delta.window": _describe_window(found),
        "detection.method": (
            "events are detected in units of the noise of the recording, which is"
            f" {measured.noise:.3g} per pixel here"
        ),
        calibration + "smooth_sigma": (
            "about the radius of the smallest expected events, px and frames; larger"
            " values find weaker, larger events"
        ),
        calibration + "false_events": (
            "expected number of false events per 20 million voxels of noise; this part"
            f" has {(stop - first) * measured.mean.size / 1e6:.3g} million voxels"
        ),
        calibration + "prominence": (
            "smallest prominence of an event, in standard deviations of the smoothed"
            " noise"
        ),
        calibration + "extent": (
            "an event extends to voxels above this fraction of its smoothed peak"
        ),
        calibration + "min_size": "events with fewer voxels are discarded",
    }


def _describe_window(found: Preview) -> str:
    unit = DeltaSettings.model_fields["window"].json_schema_extra
    name = unit["unit"] if isinstance(unit, dict) else "frames"
    return (
        f"the background is estimated from this many {name} on each side; longer than"
        " an event"
    )


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(plain(value), default_flow_style=True, width=1000)
    return text.removesuffix("...\n").strip()
