"""Read and write networks; reading never runs code that a file may contain.

A model file is read as a container of named arrays, whose shapes define the network.
Code, pickles and configurations that could build arbitrary layers are never executed.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import h5py
import numpy as np
from numpy.typing import NDArray

from astrocast.denoising.architecture import KNOWN_LAYERS
from astrocast.denoising.items import Window
from astrocast.errors import FormatError, InvalidValueError, RecordingNotFoundError
from astrocast.io.writing.files import replacing
from astrocast.kernels.denoising.unet_layout import UNet, unet_from_arrays
from astrocast.runtime.provenance import write_json

_HDF5 = b"\x89HDF\r\n\x1a\n"
#: maximum number of weights (2 GB); real networks are far smaller
_MOST_VALUES = 1 << 29


@dataclass(frozen=True)
class SavedNetwork:
    """A network read from a file, with the record of its training.

    ``record``: content of the JSON file beside the weights; empty without this file.
    """

    unet: UNet
    path: Path
    record: dict[str, Any] = field(default_factory=dict)


def read_network(path: str | Path) -> SavedNetwork:
    """Return the U-Net of a model file.

    Formats: the output of `Network` (the folder, the JSON file or the weights), Keras
    weights (``.weights.h5``), Keras archives (``.keras``), and legacy Keras HDF5 files
    such as the public pretrained networks, for any input size.

    Raises
    ------
    RecordingNotFoundError
        The path does not exist.
    FormatError
        The file has another format, is damaged, or is not a U-Net. Pickles and models
        that contain code are refused.
    """
    found = _locate(Path(path))
    with found.open("rb") as file:
        start = file.read(8)
    try:
        if start == _HDF5:
            arrays = _read_hdf5(found, found)
        elif start[:2] == b"PK":
            arrays = _read_archive(found)
        else:
            raise FormatError(
                f"{found} is neither HDF5 nor a Keras archive (it starts with"
                f" {start!r}). Pickled models are never loaded: they can run any code;"
                " save the weights with model.save_weights('name.weights.h5')"
            )
        unet = unet_from_arrays(arrays)
    except InvalidValueError as error:
        raise FormatError(f"{found}: {error}") from error
    except FormatError:
        raise
    except Exception as error:  # libraries raise anything on damaged bytes
        raise FormatError(
            f"{found} cannot be read as a model: {error}. The file is damaged or has"
            " another format"
        ) from error
    record = _read_record(found)
    written = record.get("weights_crc32")
    if written is not None and written != checksum_weights(unet):
        raise FormatError(
            f"the weights in {found} are not those that were written: their checksum"
            " differs. Take the file from a copy, or train again"
        )
    return SavedNetwork(unet, found, record)


def read_pretrained(path: str | Path, window: Window) -> UNet:
    """Return the U-Net of a model file, for training with the context of ``window``.

    Raises
    ------
    InvalidConditionError
        The network needs another number of context frames; see also `read_network`.
    """
    unet = read_network(path).unet
    window.check_model(unet.context)
    return unet


def checksum_weights(unet: UNet) -> str:
    """Return the CRC-32 of all weights as float32, 8 hexadecimal digits."""
    checksum = 0
    for array in unet.arrays():
        checksum = crc32(np.ascontiguousarray(array, "<f4").data, checksum)
    return f"{checksum:08x}"


def _locate(path: Path) -> Path:
    """Return the file with the weights of a path, folder or JSON file."""
    if path.is_dir():
        files = sorted(path.glob("*.weights.h5"))
        if len(files) != 1:
            names = ", ".join(f.name for f in files) or "none"
            raise RecordingNotFoundError(
                f"expected one file *.weights.h5 in {path}, found: {names}; give the"
                " path of the file"
            )
        return files[0]
    if path.suffix == ".json":
        path = path.with_name(path.name.removesuffix(".json") + ".weights.h5")
    if not path.exists():
        raise RecordingNotFoundError(f"the model {path} does not exist; check the path")
    return path


def _read_archive(path: Path) -> list[NDArray[Any]]:
    """Return the weights of a Keras archive (``.keras``), in order."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "config.json" not in names or "model.weights.h5" not in names:
            raise FormatError(
                f"{path} is an archive without config.json and model.weights.h5, found"
                f" {names[:8]}"
            )
        if archive.getinfo("config.json").file_size > 16 << 20:
            raise FormatError(
                f"{path} has a configuration of more than 16 MB; it is not a U-Net"
            )
        _check_layers(json.loads(archive.read("config.json")), path)
        if archive.getinfo("model.weights.h5").file_size > 4 * _MOST_VALUES:
            raise FormatError(
                f"{path} contains more than {4 * _MOST_VALUES >> 30} GB of weights"
            )
        return _read_hdf5(io.BytesIO(archive.read("model.weights.h5")), path)


def _check_layers(config: Any, path: Path) -> None:
    """Raise an error if a configuration has layers other than those of a U-Net."""
    layers = (
        config.get("config", {}).get("layers", []) if isinstance(config, dict) else []
    )
    strange = sorted(
        {str(layer.get("class_name")) for layer in layers} - set(KNOWN_LAYERS)
    )
    if strange or not layers:
        found = (
            f"has layers of the kind {', '.join(strange)}"
            if strange
            else "names no layers"
        )
        raise FormatError(
            f"{path} {found}; only U-Nets of {', '.join(KNOWN_LAYERS)} are read (Lambda"
            " layers contain code)"
        )


def _read_hdf5(source: Any, path: Path) -> list[NDArray[Any]]:
    """Return the weights of an HDF5 file, in order."""
    with h5py.File(source, "r") as file:
        config = file.attrs.get("model_config")
        if config is not None:
            _check_layers(json.loads(config), path)
        root = file.get("model_weights", file)
        datasets = _datasets(root, path)
        total = sum(int(np.prod(d.shape, dtype=np.int64)) for d in datasets.values())
        if total > _MOST_VALUES:
            raise FormatError(
                f"{path} declares {total} weights; more than {_MOST_VALUES} are refused"
            )
        return _order_weights(datasets, _layer_order(root), path)


def _datasets(root: h5py.Group, path: Path) -> dict[str, h5py.Dataset]:
    """Return the float arrays below ``root``, by path.

    Links to other files and data stored in other files are refused.
    """
    found: dict[str, h5py.Dataset] = {}

    def descend(group: h5py.Group, prefix: str) -> None:
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise FormatError(
                    f"in {path}, {prefix + key!r} is a link to another place; a model"
                    " file must contain its weights"
                )
            if prefix.count("/") > 8:
                raise FormatError(
                    f"{path} has groups more than 8 levels deep; it is not a model"
                )
            child = group[key]
            if isinstance(child, h5py.Group):
                if not key.startswith("optimizer"):
                    descend(child, f"{prefix}{key}/")
            elif child.external or child.is_virtual:
                raise FormatError(
                    f"in {path}, {prefix + key!r} is stored in another file; a model"
                    " file must contain its weights"
                )
            elif child.dtype.kind == "f":
                found[prefix + key] = child

    descend(root, "")
    return found


def _layer_order(root: h5py.Group) -> list[str]:
    """Return the names of layers in their stored order; empty if it is not stored."""
    names = root.attrs.get("layer_names", [])
    return [n.decode() if isinstance(n, bytes) else str(n) for n in names]


def _order_weights(
    datasets: dict[str, h5py.Dataset], order: list[str], path: Path
) -> list[NDArray[Any]]:
    """Return kernel, bias, kernel, bias ... in the order of evaluation."""
    layers: dict[str, dict[str, h5py.Dataset]] = {}
    for name, dataset in datasets.items():
        layer, leaf = _layer_and_leaf(name)
        layers.setdefault(layer, {})[leaf] = dataset
    ranked = sorted(layers, key=lambda layer: _rank(layer, order))
    arrays: list[NDArray[Any]] = []
    for layer in ranked:
        weights = layers[layer]
        if "kernel" in weights and "bias" in weights:
            arrays += [weights["kernel"][()], weights["bias"][()]]
        elif {"0", "1"} == set(weights):
            arrays += [weights["0"][()], weights["1"][()]]
        else:
            raise FormatError(
                f"{path}: layer {layer!r} has the weights {sorted(weights)}; expected"
                " the kernel and bias of a convolution. A network with batch"
                " normalisation can only be read from the folder that Network wrote"
            )
    return arrays


def _layer_and_leaf(name: str) -> tuple[str, str]:
    parts = name.split("/")
    leaf = parts[-1].split(":")[0]
    inner = [p for p in parts[:-1] if p not in ("vars", "layers", "model_weights")]
    return (inner[0] if inner else ""), leaf


def _rank(layer: str, order: list[str]) -> tuple[int, int, str]:
    if layer in order:
        return order.index(layer), 0, layer
    number = layer.rpartition("_")[2]
    return len(order), int(number) if number.isdigit() else -1, layer


def _read_record(path: Path) -> dict[str, Any]:
    beside = path.with_name(path.name.removesuffix(".weights.h5") + ".json")
    if not path.name.endswith(".weights.h5") or not beside.exists():
        return {}
    try:
        record = json.loads(beside.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise TypeError(f"it contains {type(record).__name__}, not an object")
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(
            f"{beside} is damaged: {error}; remove it to read the weights alone"
        ) from error
    return record


def write_network(
    folder: Path, prefix: str, unet: UNet, record: dict[str, Any]
) -> Path:
    """Write ``<prefix>.weights.h5`` and ``<prefix>.json``; return the weights' path.

    Each convolution is stored as one group; batch normalisation is folded into it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{prefix}.weights.h5"
    with replacing(path) as beside, h5py.File(beside, "w") as file:
        file.attrs["layer_names"] = [
            f"convolution_{i}" for i in range(len(unet.convolutions))
        ]
        for i, c in enumerate(unet.convolutions):
            file[f"convolution_{i}/kernel"] = c.kernel
            file[f"convolution_{i}/bias"] = c.bias
    architecture = {
        "kind": "unet",
        "n_stacks": unet.n_stacks,
        "kernel": unet.filters,
        "context": unet.context,
    }
    described = {
        "architecture": architecture,
        "weights_crc32": checksum_weights(unet),
        **record,
    }
    write_json(folder / f"{prefix}.json", described)
    return path
