"""Keras, loaded when it is needed and with JAX unless the user chose otherwise."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

from astrocast.errors import MissingExtraError


def _refuse_reports() -> None:
    """Make ``openvino_telemetry`` unavailable in this process."""
    # Importing openvino, which Keras does for some backends and exports, sends a usage
    # report from a forked process. Where that package is absent openvino does without;
    # a recording under analysis is nobody's business, so it is absent from here on. Not
    # only while openvino loads: another thread may be loading it when this one is done.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None makes the import say "not found"


def import_keras(purpose: str) -> Any:
    """Return the module ``keras``.

    The backend is JAX when the environment variable ``KERAS_BACKEND`` is not set and
    Keras is not loaded yet.

    Raises
    ------
    MissingExtraError
        When Keras, or JAX as its backend, is not installed.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "jax")
    _refuse_reports()
    try:
        return import_module("keras")
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "keras", "denoise", purpose) from error


def on_device(use_cpu: bool) -> AbstractContextManager[Any]:
    """Return a context in which Keras works on the CPU, or wherever it wants."""
    return (
        import_keras("choosing a device").device("cpu:0") if use_cpu else nullcontext()
    )


def import_openvino() -> Any:
    """Return the module ``openvino``, loaded without the part that reports its use to
    its maker.

    Raises
    ------
    MissingExtraError
        When OpenVINO is not installed.
    """
    _refuse_reports()
    try:
        return import_module("openvino")
    except ModuleNotFoundError as error:
        raise MissingExtraError("openvino", "openvino", "this engine") from error
