"""Find frame, channel, plane and position in the file names of a folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astrocast.errors import FormatError
from astrocast.io.naming import number_after, sort_naturally

#: words before a number in a file name, by the axis of the number
WORDS = {
    "C": ("c", "ch", "chan", "channel", "w", "wavelength"),
    "Z": ("z", "slice", "plane", "zstack", "depth"),
    "P": ("p", "pos", "position", "s", "series", "xy", "scene", "site", "fov"),
    "T": ("t", "time", "frame", "f", "tp", "timepoint", "img", "image"),
}
#: largest number of words in file names that are taken for channels
MOST_NAMES = 6


@dataclass(frozen=True)
class NamedFile:
    """A file of a folder and the parts of its name.

    Parameters
    ----------
    path
        The file.
    number
        Number in the order of frames.
    channel, plane, position
        Parts of the name; empty if they are missing.
    """

    path: Path
    number: int
    channel: str = ""
    plane: str = ""
    position: str = ""


def read_names(files: Sequence[Path], sep: str) -> list[NamedFile]:
    """Return files with the parts of their names, in the order of frames.

    The number after the last ``sep`` counts the frames. If several files have the same
    number, another number or word in their names is different: a channel (``ch1``, or a
    word such as ``green``), a plane (``z1``) or a position (``pos1``).

    Raises
    ------
    FormatError
        A file has no number, or two files have the same numbers.
    """
    if len(files) == 1:
        return [NamedFile(files[0], 0)]
    numbers = [number_after(p, sep) for p in files]
    if len(set(numbers)) == len(numbers):
        return [NamedFile(p, number_after(p, sep)) for p in sort_naturally(files, sep)]
    found = _by_numbers(files) or _by_words(files, numbers)
    if found is None:
        sort_naturally(files, sep)  # raises an error that names two such files
        raise FormatError(
            f"several files of {files[0].parent} have the same numbers in their names"
        )
    keys = Counter((f.position, f.plane, f.channel, f.number) for f in found)
    if max(keys.values()) > 1:
        sort_naturally(files, sep)
    return sorted(found, key=lambda f: f.number)


def _by_numbers(files: Sequence[Path]) -> list[NamedFile] | None:
    """Return the files by the numbers in their names; None if the words differ."""
    pieces = [re.split(r"(\d+)", _stem(p)) for p in files]
    if len({tuple(p[::2]) for p in pieces}) > 1:
        return None
    words = [re.sub(r".*[^a-zA-Z]", "", w).lower() for w in pieces[0][::2]]
    varying = [
        i for i in range(len(words) - 1) if len({p[2 * i + 1] for p in pieces}) > 1
    ]
    roles: dict[str, int] = {}
    unknown = []
    for i in varying:
        role = next((r for r, known in WORDS.items() if words[i] in known), None)
        if role is None or role in roles:
            unknown.append(i)
        else:
            roles[role] = i
    if "T" not in roles:
        if unknown:
            roles["T"] = unknown.pop()
        elif "Z" in roles and len(roles) > 1:
            roles["T"] = roles.pop("Z")
    if unknown or "T" not in roles:
        return None

    def label(piece: list[str], role: str) -> str:
        return piece[2 * roles[role] + 1] if role in roles else ""

    channel = "ch" if "C" in roles else ""
    return [
        NamedFile(
            path,
            int(label(piece, "T")),
            channel + label(piece, "C"),
            label(piece, "Z"),
            label(piece, "P"),
        )
        for path, piece in zip(files, pieces, strict=True)
    ]


def _by_words(files: Sequence[Path], numbers: list[int]) -> list[NamedFile] | None:
    """Return the files by the words in their names, which are channels.

    ``green_001``, ``red_001``: each word occurs with the same numbers.
    """
    words = [re.sub(r"\d+", "", _stem(p)) for p in files]
    names = sorted(set(words))
    sets = {
        w: {n for n, v in zip(numbers, words, strict=True) if v == w} for w in names
    }
    sizes = {w: words.count(w) for w in names}
    same = all(s == sets[names[0]] for s in sets.values())
    if not (1 < len(names) <= MOST_NAMES) or not same:
        odd = min(names, key=lambda w: sizes[w])
        if len(names) > 1 and 2 * sizes[odd] < max(sizes.values()):
            extra = [p.name for p, w in zip(files, words, strict=True) if w == odd]
            raise FormatError(
                f"{', '.join(extra[:8])} in {files[0].parent} has a different name than"
                " the frames, but the number of one of them. If it is a projection or"
                " another extra file, move it out of the folder"
            )
        return None
    short = _shorten(names)
    return [
        NamedFile(p, n, short[names.index(w)])
        for p, n, w in zip(files, numbers, words, strict=True)
    ]


def _shorten(names: Sequence[str]) -> list[str]:
    """Return names without the parts that all of them have in common."""
    parts = [re.split(r"[^a-zA-Z0-9]+", n) for n in names]
    different = [
        [p for p in mine if any(p not in other for other in parts)] for mine in parts
    ]
    return [
        " ".join(p for p in mine if p) or name
        for mine, name in zip(different, names, strict=True)
    ]


def _stem(path: Path) -> str:
    return re.sub(r"\.ome$", "", path.stem)


def find_gaps(numbers: Sequence[int]) -> list[int]:
    """Return the numbers that are missing in a series of numbers.

    The most frequent step between neighbours may be larger than one.
    """
    ordered = sorted(numbers)
    steps = np.diff(ordered)
    if not len(steps):
        return []
    step = Counter(steps.tolist()).most_common(1)[0][0]
    return sorted(set(range(ordered[0], ordered[-1] + 1, step)) - set(ordered))
