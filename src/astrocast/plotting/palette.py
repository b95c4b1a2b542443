"""The colours of all figures.

Categories have the eight colours of Okabe and Ito (2008),
https://jfly.uni-koeln.de/color/, which people with any common colour blindness can
distinguish, also in print. Ordered values have colour maps with evenly increasing
lightness.
"""

from __future__ import annotations

from typing import Final

from matplotlib import colormaps
from matplotlib.colors import Colormap, ListedColormap

BLACK: Final = "#000000"
ORANGE: Final = "#E69F00"
SKY_BLUE: Final = "#56B4E9"
GREEN: Final = "#009E73"
YELLOW: Final = "#F0E442"
BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#767676"

#: colours of categories, in order; yellow is the last because it is faint on white
CATEGORIES: Final = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK, YELLOW)

SIGNAL: Final = BLUE  # recorded signal
EVENT: Final = VERMILION  # detected events
REFERENCE: Final = GREY  # references: a fit, a median, the state before

TISSUE: Final = "gray"
COUNTS: Final = "cividis"
#: colour of missing values; not grey, which would look like a value of the tissue
MISSING: Final = "#8FB3CC"


def category(index: int) -> str:
    """Return the colour of the ``index``-th category; they repeat after eight.

    >>> category(0) == category(8) == BLUE
    True
    """
    return CATEGORIES[index % len(CATEGORIES)]


def time_map() -> Colormap:
    """Return the colour map of time, from early (violet) to late (yellow).

    The dark end of the map is left out, because it is not visible on tissue.

    >>> time_map().N
    256
    """
    full = colormaps["plasma"].resampled(366)
    return ListedColormap(full(range(110, 366)), name="astrocast_time")
