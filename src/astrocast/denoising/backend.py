"""Import Keras when it is needed; the backend is JAX unless the user set another."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any

from astrocast.errors import MissingExtraError


def _disable_telemetry() -> None:
    """Make ``openvino_telemetry`` unavailable in this process."""
    # Importing openvino, which Keras does for some backends and exports, sends a usage
    # report from a forked process. Without the package openvino_telemetry it does not.
    # The package stays unavailable afterwards, because another thread may still be
    # importing openvino.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None makes the import say "not found"


@contextmanager
def _skip_port_test() -> Iterator[None]:
    """Prevent an import from opening a port on ``::1``.

    Keras imports requests, and its library urllib3 opens and closes a port to find out
    whether this computer has IPv6. astrocast uses no network, so urllib3 gets the
    answer of Python (`socket.has_ipv6`) instead.
    """
    name = "urllib3.util.connection"
    if name in sys.modules or not socket.has_ipv6:
        yield
        return
    socket.has_ipv6 = False
    try:
        yield
    finally:
        socket.has_ipv6 = True
        if name in sys.modules:
            sys.modules[name].HAS_IPV6 = True  # type: ignore[attr-defined]


def import_keras(purpose: str) -> Any:
    """Return the module ``keras``.

    The backend is JAX if the environment variable ``KERAS_BACKEND`` is not set and
    Keras is not imported yet.

    Raises
    ------
    MissingExtraError
        If Keras, or JAX as its backend, is not installed.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "jax")
    _disable_telemetry()
    try:
        with _skip_port_test():
            return import_module("keras")
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "keras", "denoise", purpose) from error


def on_device(use_cpu: bool) -> AbstractContextManager[Any]:
    """Return a context in which Keras uses the CPU, or its default device."""
    return (
        import_keras("choosing a device").device("cpu:0") if use_cpu else nullcontext()
    )


def import_openvino() -> Any:
    """Return the module ``openvino``, imported without its usage reports.

    Raises
    ------
    MissingExtraError
        If OpenVINO is not installed.
    """
    _disable_telemetry()
    try:
        return import_module("openvino")
    except ModuleNotFoundError as error:
        raise MissingExtraError("openvino", "openvino", "this engine") from error
