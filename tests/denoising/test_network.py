import inspect
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from astrocast.denoising import Network, SubFrameGenerator
from astrocast.denoising.architecture import weights_of
from astrocast.denoising.callbacks import BestWeights, Schedule
from astrocast.denoising.model_files import read_network
from astrocast.errors import (
    InvalidConditionError,
    InvalidTypeError,
    InvalidValueError,
    RecordingNotFoundError,
)
from astrocast.settings.denoising import (
    NetworkSettings,
    RetrainingSettings,
    TrainingSettings,
)


@pytest.fixture
def batches(movie: np.ndarray) -> SubFrameGenerator:
    return SubFrameGenerator(movie, 8, (16, 16), 2, z_steps=0.25, normalize="global")


@pytest.mark.parametrize(
    ("method", "model"),
    [
        ("__init__", NetworkSettings),
        ("run", TrainingSettings),
        ("retrain_model", RetrainingSettings),
    ],
)
def test_signatures_and_settings_declare_the_same(method: str, model) -> None:
    for name, parameter in inspect.signature(
        getattr(Network, method)
    ).parameters.items():
        if name not in ("self", "train_generator", "val_generator"):
            assert parameter.default == model.model_fields[name].default, name


def test_losses_are_their_definitions_as_tensors_of_the_backend() -> None:
    import keras

    a, b = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 1)).astype(np.float32)
    for loss, expected in (
        (Network.annealed_loss, np.mean((np.abs(a - b) + 1e-8) ** 0.5)),
        (Network.mean_squareroot_error, np.sqrt(np.mean((a - b) ** 2) + 1e-8)),
    ):
        found = loss(keras.ops.convert_to_tensor(a), keras.ops.convert_to_tensor(b))
        assert type(found) is type(keras.ops.convert_to_tensor(a))
        assert float(found) == pytest.approx(expected, rel=1e-5)
        assert float(loss(a, b)) == pytest.approx(expected, rel=1e-5)


def test_training_learns_is_repeatable_and_keeps_the_best(
    batches, movie, tmp_path: Path
) -> None:
    def train(folder: Path):
        watched = SubFrameGenerator(
            movie, 8, (16, 16), 2, z_steps=0.25, normalize="global", seed=9
        )
        network = Network(
            SubFrameGenerator(movie, 8, (16, 16), 2, z_steps=0.25, normalize="global"),
            watched,
            learning_rate=0.01,
            n_stacks=2,
            kernel=4,
            loss="mean_squareroot_error",
        )
        return network, network.run(
            num_epochs=4, save_model=folder, min_delta=0, verbose=0
        )

    network, history = train(tmp_path / "a")
    assert history.history["val_loss"][-1] < history.history["val_loss"][0]
    saved = read_network(tmp_path / "a")
    for found, expected in zip(
        weights_of(network.model), saved.unet.arrays(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert saved.record["best"] == pytest.approx(min(history.history["val_loss"]))
    assert saved.record["normalisation"]["mean"] == pytest.approx(
        movie.mean(), rel=1e-3
    )
    assert saved.record["provenance"]["input"]["recordings"][0]["content_hash"]
    assert json.loads(saved.record["keras"])["class_name"] == "Functional"
    assert train(tmp_path / "b")[1].history == history.history


def test_the_step_size_decays_with_steps(batches) -> None:
    network = Network(
        batches, learning_rate=0.1, decay_rate=0.5, decay_steps=2, n_stacks=1, kernel=2
    )
    network.run(batch_size=8, num_epochs=1, verbose=0)
    assert float(network.model.optimizer.learning_rate) == pytest.approx(
        0.1 * 0.5 ** (len(batches) // 2)
    )


@pytest.mark.parametrize("batch_size", [3, 8, 20])
def test_batch_size_is_the_items_of_a_gradient_update(batches, batch_size) -> None:
    count = -(-len(batches.items) // batch_size)
    network = Network(batches, n_stacks=1, kernel=2)
    network.run(batch_size=batch_size, num_epochs=1, verbose=0)
    assert int(network.model.optimizer.iterations) == count
    network.retrain_model(0, 1, batch_size=batch_size, verbose=0)
    assert int(network.model.optimizer.iterations) == count


def test_regrouped_batches_hold_the_same_items_in_the_same_order(movie) -> None:
    generator = SubFrameGenerator(movie, 8, (16, 16), 2, z_steps=0.25)
    other = generator.regroup(5)
    for _ in range(2):
        for part in (0, 1):
            whole = [
                np.concatenate([batches[i][part] for i in range(len(batches))])
                for batches in (generator, other)
            ]
            np.testing.assert_array_equal(*whole)
        assert len(other[0][0]) == 5
        other.on_epoch_end()
    assert generator.epoch == 2
    assert generator.regroup(8) is generator
    assert generator.batch_size == 8


def test_retraining_moves_the_last_layer_first_then_all(
    batches, make_unet, write_legacy, tmp_path: Path
) -> None:
    unet = make_unet(filters=2)
    network = Network(
        batches,
        pretrained_weights=write_legacy(tmp_path / "old.h5", unet),
        n_stacks=5,
        kernel=99,
    )
    start = weights_of(network.model)
    np.testing.assert_array_equal(start[0], unet.arrays()[0])
    history = network.retrain_model(1, 0, verbose=0)
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(start, weights_of(network.model), strict=True)
    ]
    assert changed == [False] * (len(start) - 2) + [True, True]
    history = network.retrain_model(1, 2, verbose=0, patience=5)
    assert len(history.history["loss"]) == 3
    assert all(
        not np.array_equal(a, b)
        for a, b in zip(start, weights_of(network.model), strict=True)
    )


@pytest.mark.parametrize(("patience", "epochs"), [(0, 2), (1, 2), (2, 3), (3, 4)])
def test_patience_counts_as_keras_does(batches, patience, epochs) -> None:
    import keras

    network = Network(batches, n_stacks=1, kernel=2)
    history = network.run(num_epochs=9, patience=patience, min_delta=1e6, verbose=0)
    assert len(history.history["loss"]) == epochs
    stopping = keras.callbacks.EarlyStopping("loss", 1e6, patience)
    ours = network.model.fit(batches, epochs=9, callbacks=[stopping], verbose=0)
    assert len(ours.history["loss"]) == epochs


def test_an_unknown_monitor_is_refused_before_training(batches, movie) -> None:
    validation = SubFrameGenerator(movie, 8, (16, 16), 2, z_steps=0.25)
    for network in (
        Network(batches, n_stacks=1, kernel=2),
        Network(batches, validation, n_stacks=1, kernel=2),
    ):
        start = weights_of(network.model)
        for train in (network.run, network.retrain_model):
            with pytest.raises(InvalidValueError, match="loss or val_loss"):
                train(monitor="accuracy", verbose=0)
        for a, b in zip(start, weights_of(network.model), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_training_that_diverges_stops_and_keeps_the_best(batches, caplog) -> None:
    network = Network(
        batches,
        n_stacks=1,
        kernel=2,
        loss=lambda y, p: Network.annealed_loss(y, p) * float("nan"),
    )
    start = weights_of(network.model)
    with caplog.at_level(logging.WARNING, "astrocast.denoising"):
        history = network.run(num_epochs=5, verbose=0)
    assert len(history.history["loss"]) == 1
    assert "diverged" in caplog.text
    for a, b in zip(start, weights_of(network.model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_training_that_diverges_later_keeps_the_best_and_not_the_last(
    batches,
) -> None:
    model = Network(batches, n_stacks=1, kernel=2).model
    best = BestWeights(model, "val_loss", None, patience=9, min_delta=0.0)
    callback = best.callback()

    def epoch(number: int, value: float) -> list[np.ndarray]:
        model.set_weights([w + 1 for w in weights_of(model)])
        kept = weights_of(model)
        callback.on_train_batch_end(0, {"loss": value})
        callback.on_epoch_end(number, {"val_loss": value})
        return kept

    _, expected, _, _ = (
        epoch(0, 0.5),
        epoch(1, 0.3),
        epoch(2, 0.4),
        epoch(3, float("nan")),
    )
    callback.on_train_end({})
    assert best.diverged
    assert model.stop_training
    for a, b in zip(expected, weights_of(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_does_not_fit_is_refused(
    batches, movie, make_unet, write_legacy, tmp_path: Path
) -> None:
    odd = SubFrameGenerator(movie, 8, (18, 18), 2)
    with pytest.raises(InvalidConditionError, match="must be a multiple of 4"):
        Network(odd, n_stacks=3, kernel=2)
    with pytest.raises(
        InvalidConditionError,
        match="4 context frames, but the validation generator gives 2",
    ):
        Network(batches, SubFrameGenerator(movie, 8, (16, 16), 1), n_stacks=1, kernel=2)
    with pytest.raises(
        InvalidConditionError,
        match=r"needs 6 context frames, but .* gives 4",
    ):
        Network(
            batches,
            pretrained_weights=write_legacy(tmp_path / "a.h5", make_unet(context=6)),
        )
    with pytest.raises(RecordingNotFoundError, match="nowhere"):
        Network(batches, pretrained_weights=tmp_path / "nowhere.h5")
    with pytest.raises(InvalidValueError, match="annealed_loss"):
        Network(batches, loss="anneled", n_stacks=1, kernel=2)
    with pytest.raises(
        InvalidValueError, match=r"kernel.*learning_rate|learning_rate.*kernel"
    ):
        Network(batches, learning_rate=-1, kernel=0)
    with pytest.raises(InvalidTypeError, match="ndarray"):
        Network(movie)


def test_a_schedule_ends_with_its_time_or_its_steps() -> None:
    now = [0.0]
    schedule = Schedule(1.0, None, 100.0, lambda: now[0])
    rates = []
    for now[0] in range(0, 101, 10):
        schedule.done += 50
        rates.append(schedule.rate())
    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0
    steps = Schedule(1.0, 10, 0.0, lambda: 0.0)
    steps.done = 10
    assert steps.progress == 1
