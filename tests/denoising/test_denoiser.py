import inspect
from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.denoising import Denoiser
from astrocast.denoising.callbacks import Schedule
from astrocast.denoising.items import Window
from astrocast.denoising.training_pool import load_pool
from astrocast.errors import (
    AstrocastWarning,
    InvalidConditionError,
    InvalidValueError,
    NotRunError,
    OutputError,
    OutputExistsError,
)
from astrocast.io import open_recording
from astrocast.kernels.denoising.scaling import Scaling
from astrocast.settings.denoising import DenoiserSettings

QUICK = {
    "steps": 150,
    "kernel": 8,
    "pre_post_frame": 2,
    "patch_size": 16,
    "batch_size": 4,
    "engine": "jax",
}
#: where it matters how a training ends and not what it learns
SMALL = QUICK | {"n_stacks": 1, "kernel": 2, "assess": False}


def truth() -> tuple[np.ndarray, np.ndarray]:
    """A spot that brightens and fades twice; the same with Poisson noise as uint16."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:32, :32]
    t = np.arange(96)
    course = np.exp(-((t - 30) ** 2) / 80) + np.exp(-((t - 70) ** 2) / 80)
    light = (
        110
        + 10 * (x / 32)
        + 25 * course[:, None, None] * np.exp(-((y - 16) ** 2 + (x - 14) ** 2) / 40)
    )
    return light, (rng.poisson(light - 100) + 100).astype(np.uint16)


def test_signature_and_settings_declare_the_same() -> None:
    parameters = dict(inspect.signature(Denoiser).parameters)
    del parameters["clock"]
    assert {k: p.default for k, p in parameters.items()} == {
        k: f.default for k, f in DenoiserSettings.model_fields.items()
    }


def test_training_on_the_recording_itself_removes_noise_and_is_repeatable(
    tmp_path: Path,
) -> None:
    clean, noisy = truth()
    denoiser = Denoiser(**QUICK)
    # it trained for a second
    with pytest.warns(AstrocastWarning, match="no better than by a mean of neighbours"):
        found = denoiser.run(noisy)
    assert found.dtype == np.float32
    assert np.square(found - clean).mean() < np.square(noisy - clean).mean() / 4
    assert abs((found - noisy).mean()) < 0.1 * np.std(noisy - clean)
    assert denoiser.engine_used == "jax"
    assert denoiser.training.steps == 150
    assert denoiser.quality is not None
    assert denoiser.quality.held_out_error < denoiser.quality.neighbour_error
    again = Denoiser(**QUICK | {"assess": False, "pretrained_weights": None})
    np.testing.assert_array_equal(again.run(noisy), found)
    path = denoiser.save_model(tmp_path / "kept")
    warm = Denoiser(
        **QUICK
        | {
            "pretrained_weights": path,
            "steps": 1,
            "learning_rate": 1e-9,
            "assess": False,
        }
    )
    np.testing.assert_allclose(warm.run(noisy), found, rtol=1e-5)


def test_patterns_remove_noise_and_are_written_with_their_quality(
    tmp_path: Path,
) -> None:
    clean, noisy = truth()
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["data/ch0"] = noisy
    denoiser = Denoiser("svd", svd_patch=8)
    path = denoiser.run(
        tmp_path / "in.h5", "data/ch0", tmp_path / "out.h5", "data/clean"
    )
    with h5py.File(path) as file:
        found = file["data/clean"][:]
        assert "held_out_error" in file["data/clean"].attrs["provenance"]
    assert np.square(found - clean).mean() < np.square(noisy - clean).mean() / 10
    same = Denoiser("svd", svd_patch=8, assess=False).run(noisy, dtype="same")
    np.testing.assert_array_equal(same, np.rint(found).astype(np.uint16))


def test_an_output_that_cannot_be_written_is_said_before_anything_is_computed(
    tmp_path: Path, monkeypatch
) -> None:
    noisy = truth()[1]
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["data/ch0"] = noisy
    before = (tmp_path / "in.h5").read_bytes()
    monkeypatch.setattr(
        Denoiser, "_prepare", lambda *a: pytest.fail("it began to compute")
    )
    with pytest.raises(OutputExistsError, match="data/ch0"):
        Denoiser("svd").run(tmp_path / "in.h5", "data/ch0", tmp_path / "in.h5")
    with pytest.raises(OutputError, match="nowhere"):
        Denoiser("svd").run(noisy, output=tmp_path / "nowhere" / "out.h5")
    assert (tmp_path / "in.h5").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["in.h5"]


@pytest.mark.parametrize("name", ["out.h5", "out.tif", "out.npy", "out.zarr"])
def test_a_result_is_replaced_only_when_asked(name: str, tmp_path: Path) -> None:
    noisy = truth()[1]
    Denoiser("svd", svd_patch=8, assess=False).run(noisy[:40], output=tmp_path / name)
    with pytest.raises(OutputExistsError):
        Denoiser("svd", svd_patch=8, assess=False).run(noisy, output=tmp_path / name)
    Denoiser("svd", svd_patch=8, assess=False).run(
        noisy, output=tmp_path / name, overwrite=True
    )
    with open_recording(tmp_path / name) as found:
        assert found.shape == noisy.shape
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]


def test_minutes_are_kept() -> None:
    ticks = iter(np.arange(0, 1000, 1.0))
    denoiser = Denoiser(
        **SMALL | {"steps": None, "minutes": 0.5}, clock=lambda: next(ticks)
    )
    denoiser.run(truth()[1])
    assert 5 < denoiser.training.steps < 30


# the loss becomes large, and not a number
@pytest.mark.parametrize("fatal", [1e3, 1e30])
def test_a_training_that_diverges_later_keeps_the_best_weights(
    fatal: float, monkeypatch
) -> None:
    rates = {"good": 0.01, "then": 0.0}
    monkeypatch.setattr(
        Schedule, "rate", lambda self: rates["good" if self.done < 100 else "then"]
    )
    noisy, good = truth()[1], Denoiser(**SMALL | {"steps": 100})
    expected = good.run(noisy)
    rates["then"] = fatal
    denoiser = Denoiser(**SMALL | {"steps": 300})
    with pytest.warns(AstrocastWarning, match="diverged"):
        found = denoiser.run(noisy)
    assert denoiser.training.diverged
    assert 100 < denoiser.training.steps <= 200
    np.testing.assert_array_equal(found, expected)


def test_a_training_that_diverges_at_once_keeps_what_it_began_with() -> None:
    denoiser = Denoiser(**SMALL | {"learning_rate": 1e30})
    with pytest.warns(
        AstrocastWarning, match=r"diverged.*Lower the learning_rate, now 1e\+30"
    ):
        found = denoiser.run(truth()[1])
    assert denoiser.training.diverged
    assert np.isfinite(found).all()


def test_large_recordings_are_trained_on_in_runs_spread_over_them(monkeypatch) -> None:
    movie = np.arange(400, dtype=np.float32)[:, None, None] * np.ones(
        (1, 8, 8), np.float32
    )
    monkeypatch.setattr("astrocast.denoising.training_pool._POOL_BYTES", 100 * 4 * 64)
    window = Window((2, 2), (0, 0))
    pool = load_pool(open_recording(movie), Scaling(), window, 64, 2)
    assert sum(len(r) for r in pool.runs) <= 100
    assert pool.runs[0][0, 0, 0] == 0
    assert pool.runs[-1][-1, 0, 0] == 399
    x, y = pool.draw(50, np.random.default_rng(0))
    np.testing.assert_allclose(x.mean(-1, keepdims=True), y)
    assert x.shape == (50, 8, 8, 4)


def test_frames_larger_than_the_memory_for_covariances_are_worked_in_bands(
    monkeypatch,
) -> None:
    noisy = truth()[1]
    whole = Denoiser("svd", svd_patch=8, assess=False).run(noisy)
    monkeypatch.setattr("astrocast.denoising.patterns._COVARIANCE_BYTES", 1)
    np.testing.assert_allclose(
        Denoiser("svd", svd_patch=8, assess=False).run(noisy), whole, atol=0.2
    )


@pytest.mark.parametrize(
    ("options", "shape", "said"),
    [
        (
            {"pre_post_frame": 5},
            (8, 16, 16),
            "8 frames, but this pre_post_frame needs 11",
        ),
        ({"method": "svd"}, (8, 16, 16), "at least 16"),
        ({"n_stacks": 4}, (40, 4, 4), "smaller than 8"),
    ],
)
def test_recordings_that_are_too_small_are_refused(options, shape, said: str) -> None:
    with pytest.raises(InvalidConditionError, match=said):
        Denoiser(steps=1, kernel=2, **options).run(np.zeros(shape, np.uint8))


def test_pretrained_weights_of_another_context_are_refused_in_numbers(
    tmp_path: Path, make_unet, write_legacy
) -> None:
    path = write_legacy(tmp_path / "a.h5", make_unet(context=6))
    with pytest.raises(
        InvalidConditionError,
        match=r"needs 6 context frames, but .* gives 4",
    ):
        Denoiser(**SMALL | {"pretrained_weights": path}).run(truth()[1])


def test_a_patch_larger_than_the_frame_is_cut_to_it() -> None:
    noisy = truth()[1][:40, :22, :18]
    for options, patch in (
        (SMALL | {"steps": 1}, "patch_size"),
        ({"method": "svd", "assess": False}, "svd_patch"),
    ):
        large = Denoiser(**options | {patch: 64}).run(noisy)
        fitting = Denoiser(**options | {patch: 22}).run(noisy)
        assert large.shape == noisy.shape
        np.testing.assert_array_equal(large, fitting)


def test_wrong_parameters_are_said_together_and_nothing_trained_is_not_saved(
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidValueError, match=r"method.*minutes"):
        Denoiser("magic", minutes=0)
    with pytest.raises(NotRunError):
        Denoiser().save_model(tmp_path)
    broken = truth()[1].astype(np.float32)
    broken[5, 5, 5] = np.nan
    with pytest.raises(InvalidValueError, match="finite"):
        Denoiser("svd").run(broken)
    with pytest.raises(InvalidValueError, match="finite"):
        Denoiser(**QUICK).run(broken)
