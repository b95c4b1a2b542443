"""The repr of the public classes of preparation."""

from pathlib import Path

import numpy as np

from astrocast.analysis import Video
from astrocast.detection import Detector
from astrocast.preparation import Delta, Input, MotionCorrection


def test_each_says_what_it_holds() -> None:
    movie = np.random.default_rng(0).random((12, 8, 9)).astype(np.float32)
    delta = Delta(movie)
    assert repr(delta) == "<Delta of array of shape (12, 8, 9), not run yet>"
    delta.run(window=3)
    assert "window of 3 frames" in repr(delta)
    assert repr(MotionCorrection()) == "<MotionCorrection, not run yet>"
    assert repr(Detector(Path("a.h5"))) == "<Detector of a.h5: not run yet>"
    assert repr(Video(movie)) == "<Video array: (12, 8, 9) float32>"
    assert repr(Input()).startswith("<Input")
