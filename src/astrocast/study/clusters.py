"""A dask cluster for the recordings of a study: one that runs, or jobs of SLURM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from astrocast.errors import InvalidValueError, MissingExtraError, OutputError

_SLURM = {"jobs": "1", "cores": "2", "memory": "8GB", "walltime": "04:00:00"}
_SLURM_OPTIONAL = ("queue", "account")
#: seconds that a scheduler is given to answer
_PATIENCE = 20


@contextmanager
def connect(scheduler: str | None, slurm: str | None) -> Iterator[Any]:
    """Yield a client that is connected, or None where neither is asked for."""
    if scheduler is None and slurm is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError("distributed", "cluster", "a dask cluster") from error
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=_PATIENCE, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise OutputError(
                f"no scheduler answers at {scheduler}; start one with `dask scheduler`,"
                " or check the address"
            ) from error
        with client:
            yield client
        return
    with _slurm_cluster(slurm or "") as cluster, Client(cluster) as client:
        yield client


def slurm_options(text: str) -> dict[str, str]:
    """Return the options of ``jobs=8,cores=4,memory=16GB,walltime=04:00:00``.

    >>> slurm_options("jobs=8,memory=16GB")["memory"]
    '16GB'
    """
    options = dict(_SLURM)
    known = (*_SLURM, *_SLURM_OPTIONAL)
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            raise InvalidValueError(
                f"--slurm has {part!r}; expected NAME=VALUE of {', '.join(known)}"
            )
        options[name] = value
    for name in ("jobs", "cores"):
        if not options[name].isdigit() or not int(options[name]):
            raise InvalidValueError(f"--slurm: {name} is {options[name]!r}, no number")
    return options


def _slurm_cluster(text: str) -> Any:
    from dask_jobqueue import SLURMCluster

    options = slurm_options(text)
    jobs, cores = int(options.pop("jobs")), int(options.pop("cores"))
    # a recording uses the cores of its worker by itself: one task at a time
    cluster = SLURMCluster(cores=1, job_cpu=cores, processes=1, **options)
    cluster.scale(jobs=jobs)
    return cluster
