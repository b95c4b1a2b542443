"""What is read of a file that holds several planes, positions or channels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from astrocast.errors import ChoiceError, InvalidValueError

Missing = Literal["refuse", "blank", "close"]
#: other names of the same choice
ALIASES = {"z": "plane", "series": "position", "scene": "position", "c": "channel"}
#: choices that an address may name
NAMED = ("plane", "position", "channel", "axes", "missing")
#: names that a message lists
LISTED = 24


@dataclass(frozen=True)
class Selection:
    """Choice of one of the recordings that a file holds.

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
        Names of the axes of an array, in its order, one letter each: T time, C
        channel, Z plane, P position, Y row, X column.
    missing
        What becomes of frames that the numbers in the names of files show to be
        missing: ``refuse`` the recording, read them as ``blank`` (0), or ``close`` the
        gap.
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
        """Return the selection of an address and of choices that are named beside it.

        ``loc`` may be an address, ``"data/ch0,plane=2"``; choices named beside it go
        first. None means that nothing was named.
        """
        rest, stated = split_address(loc)
        for name, value in given.items():
            canonical = ALIASES.get(name, name)
            if canonical not in NAMED:
                raise InvalidValueError(
                    f"{name} is not a choice; expected one of"
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
    """Return the name in an address, and the choices after it."""
    stated: dict[str, Any] = {}
    rest = loc or ""
    names = "|".join([*NAMED, *ALIASES])
    while found := re.fullmatch(rf"(?:(.*),)?({names})=([^,=]+)", rest):
        stated.setdefault(ALIASES.get(found[2], found[2]), found[3])
        rest = found[1] or ""
    return rest or None, stated


def check_axes(axes: str) -> str:
    """Return the names of axes in capital letters; each occurs once, Y and X do."""
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
    """Return the number of the wanted item; an error lists the choices.

    Parameters
    ----------
    kind
        "plane", "position" or "channel".
    names
        A name for each; names may be empty.
    wanted
        A number counted from 0, a number as text, a name, or ``"ch<number>"``.
    where
        File, for the message.
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
