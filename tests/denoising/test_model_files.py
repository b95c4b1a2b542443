import io
import json
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.denoising.architecture import build_model, unet_from_model
from astrocast.denoising.model_files import read_network, write_network
from astrocast.errors import FormatError, RecordingNotFoundError

LAMBDA = {
    "class_name": "Lambda",
    "config": {"name": "evil", "function": ["4wEAAAAA", None, None]},
}
PUBLIC = [
    "data/1p_exvivo_input_size_64_64-pre_post_frame_5-gap_frames_0-train_rotation_1_2_3-architecture_2_32.h5",
    "data/2p_Glusnfr_input_size_64_64-pre_post_frame_5-gap_frames_0-train_rotation_1_2_3-architecture_2_32.h5",
]


def same(a, b) -> None:
    for x, y in zip(a.arrays(), b.arrays(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_what_is_written_is_read(tmp_path: Path, make_unet) -> None:
    unet = make_unet(3)
    path = write_network(tmp_path / "new", "best", unet, {"note": 1})
    for source in (path, tmp_path / "new", tmp_path / "new" / "best.json"):
        found = read_network(source)
        same(found.unet, unet)
        assert found.record["note"] == 1
        assert found.record["architecture"] == {
            "kind": "unet",
            "n_stacks": 3,
            "kernel": 4,
            "context": 4,
        }
    assert not list(tmp_path.rglob("*.partial"))


def test_models_of_older_keras_are_read_in_order_of_evaluation(
    tmp_path: Path, make_unet, write_legacy
) -> None:
    unet = make_unet()
    same(read_network(write_legacy(tmp_path / "old.h5", unet)).unet, unet)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_networks_are_read(name: str, shared) -> None:
    unet = read_network(shared(name)).unet
    assert (unet.n_stacks, unet.filters, unet.context) == (2, 32, 10)
    with h5py.File(shared(name)) as file:
        group = file["model_weights"]
        last = group[sorted(k for k in group if k.startswith("conv2d"))[-1]]
        np.testing.assert_array_equal(
            unet.arrays()[-2], next(iter(last.values()))["kernel:0"][()]
        )


# Keras 3.15 under NumPy 2.4, while saving
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_what_keras_saves_today_is_read(tmp_path: Path, suffix: str) -> None:
    model = build_model(4, 2, 3, seed=1)
    path = tmp_path / f"model{suffix}"
    model.save(path) if suffix == ".keras" else model.save_weights(path)
    expected = unet_from_model(model)
    assert expected is not None
    same(read_network(path).unet, expected)


def test_a_lambda_layer_is_refused_and_not_run(
    tmp_path: Path, make_unet, write_legacy
) -> None:
    with pytest.raises(FormatError, match="Lambda"):
        read_network(write_legacy(tmp_path / "a.h5", make_unet(), LAMBDA))
    archive = tmp_path / "a.keras"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", json.dumps({"config": {"layers": [LAMBDA]}}))
        file.writestr("model.weights.h5", b"")
    with pytest.raises(FormatError, match="Lambda"):
        read_network(archive)


@pytest.mark.parametrize(
    "config",
    [
        "[1, 2]",
        '{"config": 3}',
        '{"config": {"layers": 5}}',
        '{"config": {"layers": [1]}}',
        "[" * 100_000,
    ],
)
def test_odd_configurations_are_one_clear_error(
    tmp_path: Path, make_unet, write_legacy, config: str
) -> None:
    archive = tmp_path / "a.keras"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", config)
        file.writestr("model.weights.h5", b"")
    with pytest.raises(FormatError, match=r"a\.keras"):
        read_network(archive)


@pytest.mark.parametrize("content", ["[1]", "3", "{", "[" * 100_000])
def test_an_odd_record_is_one_clear_error(
    tmp_path: Path, make_unet, content: str
) -> None:
    path = write_network(tmp_path, "net", make_unet(), {})
    (tmp_path / "net.json").write_text(content)
    with pytest.raises(FormatError, match=r"net\.json is damaged.*remove it"):
        read_network(path)


def test_a_damaged_list_of_arrays_is_one_clear_error(tmp_path: Path, make_unet) -> None:
    path = write_network(tmp_path, "net", make_unet(), {})
    whole = path.read_bytes()
    for signature in (b"SNOD", b"TREE", b"HEAP"):
        assert signature in whole
        path.write_bytes(whole.replace(signature, b"XXXX"))
        with pytest.raises(FormatError, match=r"net\.weights\.h5 cannot be read"):
            read_network(path)


def test_a_changed_weight_is_noticed(tmp_path: Path, make_unet) -> None:
    path = write_network(tmp_path, "net", make_unet(), {"epochs": 3})
    assert read_network(path).record["epochs"] == 3
    with h5py.File(path, "r+") as file:
        file["convolution_1/bias"][0] += 1e-3
    with pytest.raises(FormatError, match=r"net\.weights\.h5 are not those"):
        read_network(path)
    (tmp_path / "net.json").unlink()  # a file of another origin has no checksum
    read_network(path)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    for name in ("model.pkl", "model.h5", "model.keras"):
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
        with pytest.raises(FormatError, match="Pickled models are never loaded"):
            read_network(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_weights_elsewhere_are_refused(tmp_path: Path, make_unet, write_legacy) -> None:
    other = write_legacy(tmp_path / "other.h5", make_unet())
    linked, outside, huge = (
        tmp_path / "linked.h5",
        tmp_path / "outside.h5",
        tmp_path / "huge.h5",
    )
    with h5py.File(linked, "w") as file:
        file["conv2d"] = h5py.ExternalLink(str(other), "model_weights/conv2d_9")
    with h5py.File(outside, "w") as file:
        file.create_dataset(
            "conv2d/kernel", (3, 3, 1, 1), "f4", external=[(str(other), 0, 36)]
        )
    with h5py.File(huge, "w") as file:
        file.create_dataset("conv2d/kernel", (1 << 20, 1 << 20), "f4", chunks=(64, 64))
    for path, said in (
        (linked, "elsewhere"),
        (outside, "another file"),
        (huge, "refused"),
    ):
        with pytest.raises(FormatError, match=said):
            read_network(path)


def test_damaged_and_missing_files_are_named(
    tmp_path: Path, make_unet, write_legacy
) -> None:
    with pytest.raises(RecordingNotFoundError, match="nowhere"):
        read_network(tmp_path / "nowhere.h5")
    with pytest.raises(RecordingNotFoundError, match=r"weights\.h5"):
        read_network(tmp_path)
    whole = write_legacy(tmp_path / "a.h5", make_unet()).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"cut\.h5"):
        read_network(tmp_path / "cut.h5")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("readme", "nothing")
    (tmp_path / "b.keras").write_bytes(buffer.getvalue())
    with pytest.raises(FormatError, match=r"config\.json"):
        read_network(tmp_path / "b.keras")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["dense/kernel"], file["dense/bias"] = (
            np.zeros((4, 4), "f4"),
            np.zeros(4, "f4"),
        )
    with pytest.raises(FormatError, match="convolutions"):
        read_network(tmp_path / "c.h5")
