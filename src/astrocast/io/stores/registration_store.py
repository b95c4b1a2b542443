"""Result of the motion correction: shifts, template, quality, border.

``<stem>.<last part of loc>.motion.npz`` beside the corrected recording, for all
formats: only arrays, no pickle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.stores.beside import Place, place_beside, read_bytes, write_bytes

SUFFIX = ".motion.npz"


@dataclass(frozen=True)
class Registration:
    """Result of a motion correction.

    Parameters
    ----------
    shifts
        float32 (frame, 2), pixels, row then column, positive where the frame moved down
        or right.
    template
        float32 (row, column): the template of the registration.
    quality
        Arrays with one value per frame: ``correlation_before`` and
        ``correlation_after`` (with the template), ``residual`` (pixels), ``bad_frame``
        (bool).
    border
        Pixels at (top, bottom, left, right) that are invalid in at least one frame.
    fields
        float32 (frame, 2, grid row, grid column), pixels: shifts of the patches; None
        after rigid correction.
    summary
        ``crispness_before``, ``crispness_after``, ``offset`` and ``parameters``.
    """

    shifts: NDArray[np.float32]
    template: NDArray[np.float32]
    quality: dict[str, NDArray[Any]]
    border: tuple[int, int, int, int]
    fields: NDArray[np.float32] | None = None
    summary: dict[str, Any] = field(default_factory=dict)


def registration_path(recording: Path, loc: str | None) -> Path:
    """Return the path of the registration of a corrected recording."""
    return Path(place_beside(recording, loc, SUFFIX))


def registration_place(recording: str | Path, loc: str | None) -> Place:
    """Return the path or URL of the registration of a corrected recording."""
    return place_beside(recording, loc, SUFFIX)


def write_registration(path: Place, registration: Registration) -> None:
    """Write a registration; readers always see a complete file."""
    arrays: dict[str, Any] = {
        f"quality.{name}": values for name, values in registration.quality.items()
    }
    arrays |= {
        "shifts": registration.shifts,
        "template": registration.template,
        "border": np.array(registration.border, np.int64),
        "summary": np.array(json.dumps(registration.summary)),
    }
    if registration.fields is not None:
        arrays["fields"] = registration.fields
    file = BytesIO()
    np.savez(file, **arrays)
    write_bytes(path, file.getvalue())


def read_registration(
    recording: str | Path, loc: str | None = None
) -> Registration | None:
    """Return the registration stored beside a corrected recording, or None."""
    path = place_beside(recording, loc, SUFFIX)
    try:
        content = read_bytes(path)
        if content is None:
            return None
        with np.load(BytesIO(content), allow_pickle=False) as stored:
            arrays = dict(stored)
    except (OSError, ValueError, BadZipFile) as error:
        raise FormatError(
            f"{path} cannot be read: {error}; remove it, or run the motion correction"
            " again"
        ) from error
    quality = {
        k.removeprefix("quality."): v
        for k, v in arrays.items()
        if k.startswith("quality.")
    }
    top, bottom, left, right = (int(v) for v in arrays["border"])
    return Registration(
        arrays["shifts"],
        arrays["template"],
        quality,
        (top, bottom, left, right),
        arrays.get("fields"),
        json.loads(str(arrays["summary"])),
    )
