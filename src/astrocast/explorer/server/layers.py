"""The layers of a project: all movies that the page can show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from astrocast.errors import InvalidValueError
from astrocast.explorer.server.computed import QuickChange, RelativeChange
from astrocast.io.formats.hdf5 import dataset_names
from astrocast.io.recording import Recording
from astrocast.io.registry import find_format, open_recording
from astrocast.io.views import SlicedRecording

#: first part of a dataset's name -> content of the layer
TITLES = {
    "data": "Raw",
    "mc": "Registered",
    "denoised": "Denoised",
    "df": "dF",
}
_ORDER = (*TITLES, "dff")


@dataclass(frozen=True)
class Layer:
    """A movie of a project.

    Parameters
    ----------
    key
        Name in requests: the dataset, or ``dff/ch0`` for a computed layer.
    title
        Name on the screen.
    kind
        ``data``, ``mc``, ``denoised``, ``df``, ``dff`` or ``other``.
    channel
        Channel of the movie.
    recording
        The movie.
    note
        Note for the user; may be empty.
    """

    key: str
    title: str
    kind: str
    channel: str
    recording: Recording
    note: str = ""


def layers_of(path: Path, loc: str | None, floor: float, ratio: bool) -> list[Layer]:
    """Return the layers of a recording, including computed layers.

    Parameters
    ----------
    path, loc
        File or folder, and dataset inside it; None: all datasets of an HDF5 file.
    floor
        Smallest divisor of dF/F.
    ratio
        Whether the datasets ``df/...`` contain dF/F instead of dF.
    """
    if path.suffix.lower() in (".h5", ".hdf5") and loc is None:
        stored = _stored_layers(path, ratio)
    else:
        stored = _channels(path, loc)
    first = stored[0].recording.shape if stored else None
    shown = [layer for layer in stored if layer.recording.shape == first]
    found = [*shown, *_relative_changes(shown, floor)]
    return sorted(found, key=lambda layer: (layer.channel, _rank(layer.kind)))


def _stored_layers(path: Path, ratio: bool) -> list[Layer]:
    """Return a layer per movie of an HDF5 file.

    Datasets of other programs may be tables instead of movies, such as the truth of a
    simulation. They are not shown; an error is raised if there is no movie at all.
    """
    names = dataset_names(path)
    movies = [name for name in names if name.split("/")[0] in TITLES]
    found = [_open_layer(path, name, ratio) for name in movies]
    refused: list[InvalidValueError] = []
    for name in names:
        if name in movies:
            continue
        try:
            found.append(_open_layer(path, name, ratio))
        except InvalidValueError as error:
            refused.append(error)
    if not found and refused:
        raise refused[0]
    return found


def _rank(kind: str) -> int:
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _open_layer(path: Path, name: str, ratio: bool) -> Layer:
    head, _, channel = name.rpartition("/")
    kind = head.split("/")[0] if head.split("/")[0] in TITLES else "other"
    title = TITLES.get(kind, name)
    if kind == "df" and ratio:
        kind, title = "dff", "dF/F"
    return Layer(name, title, kind, channel, open_recording(path, name))


def _channels(path: Path, loc: str | None) -> list[Layer]:
    """Return a layer per channel of a file whose channels alternate."""
    if loc is not None:
        movie = open_recording(path, loc)
        return [Layer(loc, "Raw", "data", loc.rsplit("/", 1)[-1], movie)]
    several = find_format(path)
    # the first channel of a file with alternating channels; else the whole file
    first = open_recording(path, None if several and several.several else "ch0")
    whole = first.source if isinstance(first, SlicedRecording) else first
    if whole.channels == 1:
        return [Layer("data/ch0", "Raw", "data", "ch0", first)]
    count = whole.channels
    names = whole.metadata.channel_names or [f"ch{i}" for i in range(count)]
    movies = [SlicedRecording(whole, i, len(whole), count) for i in range(count)]
    return [
        Layer(f"data/ch{i}", "Raw", "data", str(name), movie)
        for i, (name, movie) in enumerate(zip(names, movies, strict=True))
    ]


def _relative_changes(stored: list[Layer], floor: float) -> list[Layer]:
    """Return computed layers: dF/F of each channel, quick dF if none is stored."""
    found: list[Layer] = []
    for channel in dict.fromkeys(layer.channel for layer in stored):
        own = {layer.kind: layer for layer in stored if layer.channel == channel}
        movie = own.get("denoised") or own.get("mc") or own.get("data")
        if movie is None or "dff" in own:
            continue
        key = f"dff/{channel}"
        if "df" in own:
            ratio = RelativeChange(own["df"].recording, movie.recording, floor)
            found.append(Layer(key, "dF/F", "dff", channel, ratio))
            continue
        note = "quick view: one background image, bleaching is not corrected"
        change, ratio_ = (
            QuickChange(movie.recording, relative, floor) for relative in (False, True)
        )
        found += [
            Layer(f"df/{channel}", "dF", "df", channel, change, note),
            Layer(key, "dF/F", "dff", channel, ratio_, note),
        ]
    return found
