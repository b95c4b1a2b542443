"""Keras, loaded when it is needed and with JAX unless the user chose otherwise."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

from astrocast.errors import MissingExtraError


def import_keras(purpose: str) -> Any:
    """Return the module ``keras``.

    The backend is JAX when the environment variable ``KERAS_BACKEND`` is not set and Keras is not loaded yet.

    Raises
    ------
    MissingExtraError
        When Keras, or JAX as its backend, is not installed.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        return import_module("keras")
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "keras", "denoise", purpose) from error


def on_device(use_cpu: bool) -> AbstractContextManager[Any]:
    """Return a context in which Keras works on the CPU, or wherever it wants."""
    return import_keras("choosing a device").device("cpu:0") if use_cpu else nullcontext()


def import_openvino() -> Any:
    """Return the module ``openvino``, loaded without the part that reports its use to its maker.

    Raises
    ------
    MissingExtraError
        When OpenVINO is not installed.
    """
    # Importing openvino sends a usage report in a forked process. Where that package is absent it does without; a
    # recording under analysis is nobody's business, so it is kept absent while openvino loads.
    hidden = "openvino" not in sys.modules and "openvino_telemetry" not in sys.modules
    if hidden:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # None makes the import system say "not found"
    try:
        return import_module("openvino")
    except ModuleNotFoundError as error:
        raise MissingExtraError("openvino", "openvino", "this engine") from error
    finally:
        if hidden:
            del sys.modules["openvino_telemetry"]
