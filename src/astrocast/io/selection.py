"""Choose one of several planes, positions or channels of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from astrocast.errors import ChoiceError, InvalidValueError

Missing = Literal["refuse", "blank", "close"]
#: synonyms of choices
ALIASES = {"z": "plane", "series": "position", "scene": "position", "c": "channel"}
#: choices that an address can contain
NAMED = ("plane", "position", "channel", "axes", "missing")
#: largest number of names in a message
LISTED = 24


@dataclass(frozen=True)
class Selection:
    """Choice of one of the recordings in a file.

    Parameters
    ----------
    loc
        Name of the dataset, image or channel.
    plane
        Number of the plane (depth), counted from 0.
    position
        Number, counted from 0, or name of the position, series or scene.
    channel
        Number, counted from 0, or name of the channel.
    axes
        Axes of the array in order, one letter each: T time, C channel, Z plane, P
        position, Y row, X column.
    missing
        If file names show that frames are missing: ``refuse`` the recording, insert
        ``blank`` frames (0), or ``close`` the gap.
    sep
        Files of a folder are sorted by the number after the last ``sep``.
    """

    loc: str | None = None
    plane: int | str | None = None
    position: int | str | None = None
    channel: int | str | None = None
    axes: str | None = None
    missing: Missing = "refuse"
    sep: str = "_"

    @classmethod
    def of(cls, loc: str | None = None, sep: str = "_", **given: Any) -> Self:
        """Return the selection from an address and from separate choices.

        ``loc`` may be an address, ``"data/ch0,plane=2"``. Separate choices (``given``)
        override those of the address, unless they are None.
        """
        rest, stated = split_address(loc)
        for name, value in given.items():
            canonical = ALIASES.get(name, name)
            if canonical not in NAMED:
                raise InvalidValueError(
                    f"{name} is not a valid choice; expected one of"
                    f" {', '.join([*NAMED, *ALIASES])}"
                )
            if value is not None:
                stated[canonical] = value
        missing = stated.get("missing", "refuse")
        if missing not in ("refuse", "blank", "close"):
            raise InvalidValueError(
                f"missing is {missing!r}; choose refuse, blank or close"
            )
        if stated.get("axes") is not None:
            stated["axes"] = check_axes(str(stated["axes"]))
        return cls(loc=rest, sep=sep, **stated)

    def address(self, loc: str | None = None) -> str | None:
        """Return ``loc`` and the choices as one text that opens the same recording."""
        default = {f.name: f.default for f in fields(self)}
        parts = [loc] if loc else []
        for name in NAMED:
            value = getattr(self, name)
            if value != default[name]:
                parts.append(f"{name}={value}")
        return ",".join(parts) or None

    def without_channel(self) -> Self:
        """Return the selection of all channels."""
        return replace(self, channel=None)


def split_address(loc: str | None) -> tuple[str | None, dict[str, Any]]:
    """Split an address into the name of the dataset and the choices."""
    stated: dict[str, Any] = {}
    rest = loc or ""
    names = "|".join([*NAMED, *ALIASES])
    while found := re.fullmatch(rf"(?:(.*),)?({names})=([^,=]+)", rest):
        stated.setdefault(ALIASES.get(found[2], found[2]), found[3])
        rest = found[1] or ""
    return rest or None, stated


def check_axes(axes: str) -> str:
    """Return axes in capital letters; each may occur once, Y and X are required."""
    letters = axes.upper().replace("S", "P").replace("R", "P")
    if (
        len(set(letters)) < len(letters)
        or not set(letters) <= set("TCZPYX")
        or not {"Y", "X"} <= set(letters)
    ):
        raise InvalidValueError(
            f"axes is {axes!r}; expected one letter for each axis, in the order of the"
            " array, each once: T time, C channel, Z plane, P position, Y row, X column"
        )
    return letters


def choose(
    kind: str, names: Sequence[str], wanted: int | str | None, where: str
) -> int:
    """Return the number of the wanted item, or raise an error that lists all items.

    Parameters
    ----------
    kind
        "plane", "position" or "channel".
    names
        Name of each item, may be empty.
    wanted
        A number counted from 0, a number as text, a name, or ``"ch<number>"``.
    where
        File, for messages.
    """
    prefix = "ch" if kind == "channel" else ""
    labels = [n or f"{prefix}{i}" for i, n in enumerate(names)]
    if wanted is None and len(names) == 1:
        return 0
    number = re.fullmatch(r"(?:ch)?(\d+)", str(wanted))
    if isinstance(wanted, str) and wanted in names:
        return list(names).index(wanted)
    if number and int(number[1]) < len(names):
        return int(number[1])
    listing = ", ".join(
        f"{prefix}{i}" if n in ("", str(i), f"{prefix}{i}") else f"{prefix}{i} ({n})"
        for i, n in enumerate(names[:LISTED])
    ) + (", ..." if len(names) > LISTED else "")
    asked = "" if wanted is None else f" and no {kind} {wanted!r}"
    raise ChoiceError(
        f"{where} has {len(names)} {kind}{'s' if len(names) > 1 else ''}{asked}:"
        f" {listing}. Choose one with {kind}=, for example {kind}=0 (command line:"
        f" --{kind} 0)",
        {kind: tuple(labels)},
    )
