"""`show_event_map` opens a real viewer on recording and events, slice for slice."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astrocast.analysis import Events
from astrocast.errors import InvalidValueError

pytestmark = [
    pytest.mark.skipif(
        sys.platform == "linux" and not os.environ.get("DISPLAY"),
        reason="napari needs a display: run under xvfb-run -a",
    ),
    pytest.mark.filterwarnings("ignore"),  # napari and Qt warn of their own future
]


@pytest.fixture
def shown():
    """Opens viewers and closes them after the test."""
    pytest.importorskip("napari", reason="the extra napari is not installed")
    opened = []

    def show(events, **options):
        opened.append(events.show_event_map(**options))
        return opened[-1]

    yield show
    for viewer in opened:
        viewer.close()


@pytest.mark.parametrize("lazy", [True, False])
def test_recording_and_events_are_shown_slice_for_slice(
    store, shown, labels, movie, lazy
):
    import napari

    events = Events(store, data="infer")
    viewer = shown(events, z_slice=(4, 20), lazy=lazy)
    assert isinstance(viewer, napari.Viewer)
    image, shown_events = viewer.layers
    assert isinstance(shown_events.data, np.ndarray) is not lazy
    assert_array_equal(np.asarray(image.data), movie[4:20])
    assert_array_equal(np.asarray(shown_events.data), labels[4:20])
    assert_allclose(image.scale, (1, 0.5, 0.5))
    assert shown_events.features["index"].tolist() == [1, 2, 3]
    assert shown_events.features["dz"].tolist() == [10, 6, 1]


def test_another_video_can_be_given_and_has_to_fit(store, shown, movie):
    viewer = shown(Events(store), video=movie + 1)
    assert len(viewer.layers) == 2
    assert len(shown(Events(store)).layers) == 1  # the events alone
    path = shown(Events(store), video=store.parent / "cell.h5", loc="df/ch0")
    assert path.layers[0].data.shape == movie.shape
    with pytest.raises(InvalidValueError, match="z_slice"):
        Events(store).show_event_map(video=movie[:10])
