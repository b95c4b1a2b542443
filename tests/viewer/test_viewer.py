"""The layers that the viewer gets, and that napari shows them."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from astrocast.io.recording import Metadata
from astrocast.viewer.layers import contrast_of, events_layer, recording_layer, scale_of

no_display = sys.platform == "linux" and not os.environ.get("DISPLAY")


def test_scale_contrast_and_units_are_worked_out_without_a_window():
    known = Metadata(pixel_size=(0.5, 0.25))
    assert scale_of(known) == (1.0, 0.5, 0.25)
    assert scale_of(Metadata()) == (1.0, 1.0, 1.0)
    movie = np.random.default_rng(0).normal(10, 1, (30, 20, 20))
    movie[3, 2, 2] = 1e6  # one hot pixel does not darken the rest
    low, high = contrast_of(movie)
    assert 6 < low < 9
    assert 11 < high < 15
    assert contrast_of(np.full((3, 2, 2), 4.0)) == (4.0, 5.0)
    assert contrast_of(np.full((3, 2, 2), np.nan)) == (0.0, 1.0)
    layer = recording_layer(movie, known)
    assert layer.kind == "image"
    assert layer.options["units"] == ("pixel", "µm", "µm")
    assert "features" not in events_layer(np.zeros((2, 2, 2), int), known).options


@pytest.mark.skipif(no_display, reason="napari needs a display: run under xvfb-run -a")
@pytest.mark.filterwarnings("ignore")  # napari and Qt warn of their own future
def test_napari_shows_recording_and_events(tmp_path):
    pytest.importorskip("napari", reason="the extra napari is not installed")
    import pandas as pd

    from astrocast.viewer.napari_viewer import open_viewer

    rng = np.random.default_rng(0)
    movie = rng.normal(5, 1, (6, 8, 9)).astype(np.float32)
    labels = np.zeros((6, 8, 9), np.int32)
    labels[2:4, 1:4, 2:5] = 1
    metadata = Metadata(pixel_size=(0.5, 0.25))
    features = pd.DataFrame({"index": [1], "dz": [2]})
    viewer = open_viewer(
        [recording_layer(movie, metadata), events_layer(labels, metadata, features)],
        "a title",
    )
    try:
        image, events = viewer.layers
        assert (image.name, events.name) == ("recording", "events")
        assert_allclose(image.scale, (1, 0.5, 0.25))
        assert_allclose(events.scale, (1, 0.5, 0.25))
        assert_allclose(image.contrast_limits, contrast_of(movie))
        assert np.array_equal(events.data, labels)
        assert events.features["dz"].tolist() == [2]
        assert viewer.scale_bar.visible
        assert viewer.title == "a title"
    finally:
        viewer.close()
