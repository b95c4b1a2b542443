"""The current parameters, with the descriptions of the settings models."""

from __future__ import annotations

from typing import Any

import yaml
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, create_model

from astrocast.errors import InvalidValueError
from astrocast.explorer.server.look import Opened
from astrocast.pipeline.settings import (
    ConversionStage,
    DeltaStage,
    DetectionStage,
    MotionStage,
    RunSettings,
)
from astrocast.runtime.provenance import plain
from astrocast.settings.base import Settings
from astrocast.settings.calibrated import CalibratedSettings

router = APIRouter(prefix="/api/projects/{project}", tags=["tune"])

#: parts of the settings that the page tunes: path -> title, model
SECTIONS: dict[str, tuple[str, type[Settings]]] = {
    "detection": ("Detection", DetectionStage),
    "detection.calibration": ("Calibrated detection", CalibratedSettings),
    "delta": ("Baseline", DeltaStage),
    "motion": ("Motion", MotionStage),
}
#: parameters of the detection that both methods use
BOTH_METHODS = ("method", "exclude_border", "split_events")
#: parameters that do not change the result; the page does not show them
HIDDEN = {
    "detection": (
        "calibration",
        "lazy",
        "debug",
        "parallel",
        "use_on_disk_sharing",
        "event_map_export_format",
        "z_slice",
    ),
    "delta": ("chunk_strategy", "chunks"),
    "motion": ("bigtiff", "engine", "splits_rig", "splits_els"),
}

#: properties that a recording may not state, with the descriptions of the run settings
Answers = create_model(
    "Answers",
    __config__=ConfigDict(extra="forbid"),
    **{  # type: ignore[call-overload] # names come from the settings
        name: (info.annotation, info)
        for name, info in [
            *((n, RunSettings.model_fields[n]) for n in ("frame_rate", "pixel_size")),
            ("offset", ConversionStage.model_fields["offset"]),
        ]
    },
)


class Tuned(BaseModel):
    """Settings of a run that differ from the defaults."""

    model_config = ConfigDict(extra="forbid")

    settings: RunSettings = Field(default_factory=RunSettings)


@router.get("/parameters")
def parameters(project: Opened) -> dict[str, Any]:
    """Return the JSON schema of each section and the current values."""
    values = plain(project.settings.model_dump())
    return {
        "settings": values,
        "defaults": plain(RunSettings().model_dump()),
        "sections": [
            {
                "path": path,
                "title": title,
                "schema": _schema(model, HIDDEN.get(path, ())),
                "both_methods": list(BOTH_METHODS) if path == "detection" else [],
            }
            for path, (title, model) in SECTIONS.items()
        ],
    }


def _schema(model: type[Settings], left_out: tuple[str, ...]) -> dict[str, Any]:
    schema = model.model_json_schema()
    names = [n for n in schema["properties"] if n not in left_out]
    names.sort(key=lambda n: n not in BOTH_METHODS[:1])  # the method comes first
    return {"properties": {name: schema["properties"][name] for name in names}}


@router.post("/parameters/text")
def text(project: Opened, tuned: Tuned) -> dict[str, str]:
    """Return settings for a YAML file, for the command line, and for Python."""
    return write_settings(tuned.settings, str(project.source()[0]))


@router.post("/answers")
def answer(project: Opened, answers: Answers) -> dict[str, Any]:  # type: ignore[valid-type]
    """Store properties that the recording does not state."""
    given = answers.model_dump(exclude_none=True)  # type: ignore[attr-defined]
    if isinstance(given.get("offset"), str):
        raise InvalidValueError(
            "offset: give a number; 'auto' is possible only as parameter of a run"
        )
    project.answer(given)
    return project.answers


def changed_values(settings: Settings, defaults: Settings) -> dict[str, Any]:
    """Return the parameters that differ from their defaults, section by section."""
    out: dict[str, Any] = {}
    for name in type(settings).model_fields:
        now, before = getattr(settings, name), getattr(defaults, name)
        if isinstance(now, Settings):
            inner = changed_values(now, before)
            out |= {name: inner} if inner else {}
        elif now != before:
            out[name] = plain(now)
    return out


def write_settings(settings: RunSettings, source: str) -> dict[str, str]:
    """Return the parameters that differ from the defaults in three notations."""
    changed = changed_values(settings, RunSettings())
    flat = list(_flat(changed))
    words = [f"astrocast run {_quote(source)}"]
    words += [f"--set {_quote(f'{name}={_spell(value)}')}" for name, value in flat]
    sections = ",\n    ".join(f"{name}={value!r}" for name, value in changed.items())
    inner = f"\n    {sections},\n" if sections else ""
    python = (
        "from astrocast.pipeline.run import run_recording\n"
        "from astrocast.pipeline.settings import RunSettings\n\n"
        f"settings = RunSettings.checked({inner})\n"
        f"run_recording({source!r}, settings=settings)\n"
    )
    return {
        "yaml": yaml.safe_dump(changed, sort_keys=False) if changed else "{}\n",
        "set": " \\\n  ".join(words) + "\n",
        "python": python,
    }


def _flat(values: dict[str, Any], prefix: str = "") -> Any:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _spell(value: Any) -> str:
    spelled: str = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return spelled.removesuffix("...\n").strip()


def _quote(text: str) -> str:
    plain_sign = all(c.isalnum() or c in "._-/=:,+" for c in text)
    return text if plain_sign and text else "'" + text.replace("'", "'\\''") + "'"
