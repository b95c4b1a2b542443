"""Keras, loaded when it is needed and with JAX unless the user chose otherwise."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any

from astrocast.errors import MissingExtraError


@contextmanager
def _without_reports() -> Iterator[None]:
    """Keep ``openvino_telemetry`` from being loaded."""
    # Importing openvino, which Keras does too, sends a usage report from a forked process. Where that package is
    # absent it does without; a recording under analysis is nobody's business, so it is absent while openvino loads.
    hidden = "openvino_telemetry" not in sys.modules
    if hidden:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # None makes the import say "not found"
    try:
        yield
    finally:
        if hidden:
            del sys.modules["openvino_telemetry"]


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
        with _without_reports():
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
    try:
        with _without_reports():
            return import_module("openvino")
    except ModuleNotFoundError as error:
        raise MissingExtraError("openvino", "openvino", "this engine") from error
