"""One cluster of two processes for all tests of a file: starting one takes seconds."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def local_cluster() -> Iterator[Any]:
    """Two worker processes of one thread each, which restart when they are killed."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster


@pytest.fixture
def client(local_cluster: Any) -> Iterator[Any]:
    """A client that is connected for one test."""
    import dask
    import distributed

    with distributed.Client(local_cluster) as connected:
        connected.wait_for_workers(2, timeout=60)
        yield connected
    # a client that is closed twice leaves itself behind as the default
    dask.config.config.pop("scheduler", None)
