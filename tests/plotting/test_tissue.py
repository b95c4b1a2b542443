from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.offsetbox import AnchoredOffsetbox, TextArea

from astrocast.errors import InvalidValueError
from astrocast.plotting import density, footprints, projection
from astrocast.plotting.tissue import region_edges


def bar(ax) -> tuple[str, float]:
    """What the scale bar says, and its length in pixels of the image."""
    box = next(artist for artist in ax.artists if isinstance(artist, AnchoredOffsetbox))
    drawn, text = box.get_child().get_children()
    assert isinstance(text, TextArea)
    return text.get_text(), drawn.get_children()[0].get_width()


def test_a_scale_bar_is_in_micrometres_where_the_pixel_size_is_known() -> None:
    image = np.random.default_rng(0).random((50, 100))
    assert bar(projection(image, pixel_size=0.5)) == ("10 µm", 20.0)
    assert bar(projection(image, pixel_size=(2.0, 1.0))) == ("20 µm", 20.0)
    assert bar(projection(image)) == ("20 px", 20.0)


def test_pixels_keep_their_proportions() -> None:
    assert projection(np.eye(6), pixel_size=(2.0, 1.0)).get_aspect() == 2.0


def test_a_hot_pixel_does_not_darken_the_image() -> None:
    image = np.random.default_rng(0).random((100, 100))
    image[0, 0] = 1e6
    assert projection(image).images[0].norm.vmax < 2


@pytest.mark.parametrize(
    "image", [np.full((4, 5), np.nan), np.full((4, 5), 3.0), np.zeros((1, 1))]
)
def test_an_image_without_contrast_is_drawn(image: np.ndarray) -> None:
    ax = projection(image)
    assert ax.images[0].norm.vmin < ax.images[0].norm.vmax


def test_images_of_one_recording_come_out_in_one_size() -> None:
    small, large = (
        projection(np.ones((40, 60))),
        projection(np.full((40, 60), 1e6), label="a long label (counts)"),
    )
    np.testing.assert_array_equal(
        small.get_position().bounds, large.get_position().bounds
    )


@pytest.mark.parametrize("image", [np.zeros(5), np.zeros((2, 3, 4)), np.zeros((0, 4))])
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(InvalidValueError, match="row, column"):
        projection(image)


def test_footprints_are_coloured_by_onset() -> None:
    onset = np.full((20, 30), np.nan)
    onset[2:6, 3:9], onset[10:14, 10:20] = 5, 40
    ax = footprints(np.zeros((20, 30)), onset_map=onset, frames=50, frame_rate=10.0)
    shown = ax.images[1]
    assert (shown.norm.vmin, shown.norm.vmax) == (0.0, 5.0)
    assert sorted(set(shown.get_array().compressed())) == [0.5, 4.0]
    assert ax.child_axes[0].get_ylabel() == "onset (s)"
    (edges,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert len(edges.get_segments()) == 2 * (4 + 6) + 2 * (4 + 10)


def test_outlines_are_drawn_in_columns_and_rows() -> None:
    square = np.array([[2, 3], [2, 8], [6, 8], [6, 3], [2, 3]])
    ax = footprints(
        np.zeros((20, 30)), outlines={4: square, 9: square + 5}, onsets={4: 1.0}
    )
    (lines,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    np.testing.assert_array_equal(lines.get_segments()[0], square[:, ::-1])
    # no onset is known of this one
    assert tuple(lines.get_colors()[1]) == (0.85, 0.85, 0.85, 1.0)


def test_no_footprints_say_so() -> None:
    ax = footprints(np.zeros((5, 6)), onset_map=np.full((5, 6), np.nan))
    assert "no events" in [text.get_text() for text in ax.texts]


def test_an_onset_map_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"\(4, 4\).*\(5, 6\)"):
        footprints(np.zeros((5, 6)), onset_map=np.zeros((4, 4)))


def test_region_edges_close_every_region() -> None:
    values = np.full((6, 7), np.nan)
    values[1:4, 1:4], values[1:4, 4:6] = 1.0, 2.0
    segments, found = region_edges(values)
    # each of the corners of pixels on a closed line is the end of an even number of
    # sides
    corners, count = np.unique(segments.reshape(-1, 2), axis=0, return_counts=True)
    assert len(corners)
    assert len(segments) == 2 * (3 + 5) + 3
    assert (found == 1.0).sum() == 12  # the common side belongs to the earlier one
    assert (count >= 2).all()


def test_density_counts_every_event_once() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"cx": rng.uniform(0, 59, 500), "cy": rng.uniform(0, 89, 500)})
    ax = density(table, (60, 90), bin_size=7)
    counts = ax.images[0].get_array()
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 89.5), (59.5, -0.5))
    expected, _, _ = np.histogram2d(
        table.cx, table.cy, [np.arange(0, 64, 7), np.arange(0, 92, 7)]
    )
    np.testing.assert_array_equal(counts, expected)


def test_density_without_events() -> None:
    ax = density(pd.DataFrame({"cx": [], "cy": []}), (20, 20))
    assert ax.images[0].get_array().sum() == 0
    assert "no events" in [text.get_text() for text in ax.texts]


def test_density_names_the_columns_that_it_lacks() -> None:
    with pytest.raises(InvalidValueError, match="'trace'"):
        density(pd.DataFrame({"trace": []}), (20, 20))
