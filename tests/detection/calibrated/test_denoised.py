"""A denoised movie: the calibrated method searches the movie it was made from."""

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.denoising import Denoiser
from astrocast.detection import Detector
from astrocast.detection.calibrated.segment import calibrated_labels
from astrocast.errors import AstrocastWarning
from astrocast.io import open_recording
from astrocast.io.denoised import open_undenoised
from astrocast.io.stores.event_table import read_events
from astrocast.simulation import SimulationSettings, Simulator
from astrocast.simulation.scoring import score

SETTINGS = SimulationSettings(
    seed=6, frames=160, rows=64, columns=64, events=6, snr=2.0, motion=0.0
)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A file with a simulated movie and the same movie denoised."""
    path = tmp_path_factory.mktemp("denoised") / "recording.h5"
    with h5py.File(path, "w") as file:
        file["data/ch0"] = Simulator(SETTINGS).movie(0, SETTINGS.frames)
    Denoiser(method="svd").run(path, "data/ch0", output=path, out_loc="denoised/ch0")
    return path


def test_events_are_those_of_the_raw_movie(store: Path, tmp_path: Path, caplog) -> None:
    raw = Detector(store, output=tmp_path / "raw.roi").run(
        "data/ch0", method="calibrated"
    )
    quiet = Detector(store, output=tmp_path / "quiet.roi").run(
        "denoised/ch0", method="calibrated"
    )
    a, b = read_events(raw), read_events(quiet)
    where = ["z0", "z1", "x0", "x1", "y0", "y1", "v_area"]
    assert len(a) >= SETTINGS.events - 1
    np.testing.assert_array_equal(a[where], b[where])
    # traces and noise are of the denoised movie
    assert (b["noise_df"] < a["noise_df"]).all()
    assert b["peak_dff"].median() == pytest.approx(a["peak_dff"].median(), rel=0.3)
    assert "events are searched in data/ch0" in caplog.text


def test_the_denoised_movie_alone_would_give_other_events(store: Path) -> None:
    """Otherwise nothing is gained by the search of the raw movie."""
    truth = Simulator(SETTINGS).voxels
    labels = {}
    for loc in ("data/ch0", "denoised/ch0"):
        # slow fluctuations of the denoised one are warned of
        with open_recording(store, loc) as movie, warnings.catch_warnings():
            warnings.simplefilter("ignore", AstrocastWarning)
            labels[loc] = calibrated_labels(movie)[0]
    found = {
        loc: [np.flatnonzero(volume == n) for n in range(1, volume.max() + 1)]
        for loc, volume in labels.items()
    }
    f1 = {loc: score(truth, voxels, 0.5).f1 for loc, voxels in found.items()}
    assert f1["data/ch0"] > f1["denoised/ch0"] + 0.1


def test_a_denoised_movie_without_its_source_is_searched_itself(
    store: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.h5"
    with h5py.File(store) as source, h5py.File(alone, "w") as file:
        source.copy("denoised/ch0", file, "denoised/ch0")
        file["mc/ch0"] = np.zeros((4, 5, 6), np.float32)
    with open_recording(alone, "denoised/ch0") as movie:
        assert open_undenoised(movie) is None
    with open_recording(store, "data/ch0") as movie:
        assert open_undenoised(movie) is None


def test_a_denoised_movie_of_another_name_says_what_it_was_made_from(
    store: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.h5"
    with h5py.File(store) as source, h5py.File(copy, "w") as file:
        source.copy("data/ch0", file, "movie")
    Denoiser(method="svd", assess=False).run(
        copy, "movie", output=copy, out_loc="clean"
    )
    with open_recording(copy, "clean") as movie, open_undenoised(movie) as found:
        assert found.loc == "movie"
