"""Films (MP4) of a recording, with outlines of events, time stamp and scale bar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError, MissingExtraError
from astrocast.kernels.masks.pixel_outlines import Segments
from astrocast.plotting.frame import PixelSize, nice_length, pixel_sides

Picture = NDArray[np.uint8]
#: largest side of a film in pixels; small recordings are enlarged
FILM_SIDE = 1024


def enlargement(shape: tuple[int, int]) -> int:
    """Return the factor by which a recording is enlarged in a film, along each side.

    >>> enlargement((64, 128)), enlargement((2048, 2048))
    (8, 1)
    """
    return max(1, FILM_SIDE // max(shape))


def enlarge(grey: Picture, factor: int) -> Picture:
    """Return a grey picture (row, column), enlarged, as RGB (row, column, 3)."""
    large = np.repeat(np.repeat(grey, factor, axis=0), factor, axis=1)
    return np.repeat(large[:, :, None], 3, axis=2)


def paint_outlines(
    image: Picture,
    outlines: Segments,
    events: Iterable[int],
    factor: int,
    colours: Mapping[int, str],
) -> None:
    """Paint the outlines of the events that have a colour, into ``image``.

    Parameters
    ----------
    image
        uint8 (row, column, 3), enlarged by ``factor``.
    outlines
        One outline per event, in pixels of the recording.
    events
        Number of the event of each outline.
    factor
        See `enlargement`.
    colours
        Event -> ``#rrggbb``.
    """
    half = max(1, factor // 3)
    for i, event in enumerate(events):
        if event not in colours:
            continue
        colour = _rgb(colours[event])
        for r0, c0, r1, c1 in (
            outlines.points[outlines.offsets[i] : outlines.offsets[i + 1]] * factor
        ).tolist():
            low = (max(0, min(r0, r1) - half // 2), max(0, min(c0, c1) - half // 2))
            image[low[0] : max(r0, r1) + half, low[1] : max(c0, c1) + half] = colour


def _rgb(code: str) -> list[int]:
    return [int(code[k : k + 2], 16) for k in (1, 3, 5)]


def paint_time(image: Picture, frame: int, frame_rate: float | None) -> None:
    """Paint the time of a frame into the top left corner of ``image``.

    In seconds; without a frame rate, the number of the frame.
    """
    text = f"{frame / frame_rate:.2f} s" if frame_rate else f"frame {frame}"
    size = _text_size(image)
    _paint_text(image, text, (size // 3, size // 3), size)


def paint_scale_bar(image: Picture, factor: int, pixel_size: PixelSize) -> None:
    """Paint a scale bar into the bottom right corner of ``image``.

    In micrometres; without a pixel size, in pixels.
    """
    sides = pixel_sides(pixel_size)
    side, unit = (sides[1], "µm") if sides else (1.0, "px")
    rows, columns = image.shape[:2]
    length = nice_length(columns / factor * side)
    width, size = max(1, round(length / side * factor)), _text_size(image)
    right, bottom = columns - size // 3, rows - size // 3
    bar = image[bottom - max(2, size // 5) : bottom, right - width : right]
    bar[:] = 255
    text = f"{length:g} {unit}"
    left = right - width // 2 - _text_width(text, size) // 2
    left = max(0, min(left, columns - _text_width(text, size)))
    _paint_text(image, text, (max(0, bottom - size // 5 - size * 5 // 4), left), size)


def _text_size(image: Picture) -> int:
    """Return a readable height of letters, in pixels."""
    return max(10, min(image.shape[:2]) // 24)


def _text_width(text: str, size: int) -> int:
    return len(text) * _draw_letter("0", size).shape[1]


def _paint_text(image: Picture, text: str, corner: tuple[int, int], size: int) -> None:
    """Paint white letters on black into ``image``, from the top left ``corner``."""
    letters = np.concatenate([_draw_letter(letter, size) for letter in text], axis=1)
    part = image[corner[0] :, corner[1] :][: letters.shape[0], : letters.shape[1]]
    part[:] = letters[: part.shape[0], : part.shape[1], None]


@lru_cache(maxsize=256)
def _draw_letter(letter: str, size: int) -> Picture:
    """Return a letter, white on black, uint8 (1.2 size, 0.6 size)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = round(1.2 * size), max(1, round(0.602 * size))
    # one point is one pixel at 72 dots per inch
    figure = Figure(figsize=(columns / 72, rows / 72), dpi=72, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    font: dict[str, Any] = {
        "family": "DejaVu Sans Mono",
        "fontsize": size,
        "color": "white",
    }
    figure.text(0, 0.25, letter, va="baseline", ha="left", **font)
    canvas.draw()  # type: ignore[no-untyped-call] # matplotlib
    pixels: Any = canvas.buffer_rgba()  # type: ignore[no-untyped-call] # matplotlib
    return np.asarray(pixels)[:, :, 0].copy()


def write_film(
    target: Path | BinaryIO, pictures: Iterable[Picture], frames_per_second: float
) -> None:
    """Write pictures as a film (MP4, H.264), one after the other.

    Parameters
    ----------
    target
        File to write.
    pictures
        uint8 (row, column, 3), all of the same size.
    frames_per_second
        Speed of the film.

    Raises
    ------
    MissingExtraError
        The package ``av`` is not installed.
    InvalidValueError
        ``pictures`` is empty, or the speed is not above 0.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video", "a film") from error
    if not (np.isfinite(frames_per_second) and frames_per_second > 0):
        raise InvalidValueError(
            f"frames_per_second is {frames_per_second!r}; give a number above 0"
        )
    rate = Fraction(frames_per_second).limit_denominator(1000)
    stream: Any = None
    place = str(target) if isinstance(target, Path) else target
    with av.open(place, "w", format="mp4") as container:
        for picture in pictures:
            if stream is None:
                stream = container.add_stream("libx264", rate=rate)
                stream.height, stream.width = (n + n % 2 for n in picture.shape[:2])
                stream.pix_fmt, stream.options = "yuv420p", {"crf": "23"}
            # yuv420p stores colour for 2 x 2 pixels: both sides must be even
            odd = [(0, n % 2) for n in picture.shape[:2]]
            even = np.pad(picture, (*odd, (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            container.mux(stream.encode(frame))
        if stream is None:
            raise InvalidValueError("a film needs at least one frame")
        container.mux(stream.encode(None))
