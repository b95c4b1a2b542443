"""Importing, running and training use no network and open no port."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

BLOCKED = """
import sys
seen = []
def watch(event, arguments):
    if event in {"socket." + n for n in ("bind", "connect", "getaddrinfo", "sendto")}:
        address = arguments[1] if len(arguments) > 1 else arguments
        seen.append((event, address))
        raise OSError("network access")
sys.addaudithook(watch)
{body}
assert not seen, seen
"""
RUN = """
import tempfile, pkgutil, importlib
from pathlib import Path
import numpy as np
from astrocast.pipeline.run import run_recording
folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(1)
np.save(folder / "movie.npy", rng.normal(400, 9, (30, 24, 24)).astype(np.float32))
import warnings; warnings.simplefilter("ignore")
run_recording(folder / "movie.npy", folder / "out")
"""
TRAIN = """
from astrocast.denoising.backend import import_keras
keras = import_keras("a test")
import numpy as np
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
model.compile("adam", "mse")
model.fit(np.zeros((8, 4)), np.zeros((8, 2)), epochs=1, verbose=0)
"""


@pytest.mark.parametrize("body", [RUN, TRAIN], ids=["run", "train"])
def test_no_socket_is_bound_or_connected(body: str) -> None:
    if body is TRAIN and not (find_spec("keras") and find_spec("jax")):
        pytest.skip("keras or jax is not installed")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.replace("{body}", body)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
