"""A dask cluster for the recordings of a study: one that runs, or jobs of SLURM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astrocast.errors import InvalidValueError, MissingExtraError, OutputError

_SLURM = {"jobs": "1", "cores": "2", "memory": "8GB", "walltime": "04:00:00"}
_SLURM_OPTIONAL = ("queue", "account")
#: seconds that a scheduler is given to answer
_PATIENCE = 20


@contextmanager
def connect(
    scheduler: str | None,
    slurm: str | None,
    scheduler_file: Path | None = None,
    *,
    for_blocks: bool = False,
) -> Iterator[Any]:
    """Yield a client that is connected, or None where none is asked for.

    Parameters
    ----------
    scheduler
        Address of a scheduler that runs.
    slurm
        Options of workers that are started as jobs, see `slurm_options`.
    scheduler_file
        File in which a scheduler wrote its address.
    for_blocks
        Whether stages use the client by themselves for blocks of one recording;
        otherwise its tasks are whole recordings.
    """
    if sum(chosen is not None for chosen in (scheduler, slurm, scheduler_file)) > 1:
        raise InvalidValueError(
            "--scheduler, --scheduler-file and --slurm exclude each other"
        )
    if scheduler is None and slurm is None and scheduler_file is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError("distributed", "cluster", "a dask cluster") from error
    if slurm is None:
        if scheduler_file is not None and not scheduler_file.is_file():
            raise OutputError(
                f"there is no file {scheduler_file}; start a scheduler with `dask"
                f" scheduler --scheduler-file {scheduler_file}` where all see it"
            )
        where = {"scheduler_file": str(scheduler_file)} if scheduler_file else {}
        try:
            client = Client(
                scheduler, timeout=_PATIENCE, set_as_default=for_blocks, **where
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise OutputError(
                f"no scheduler answers at {scheduler or scheduler_file}; start one with"
                " `dask scheduler`, or check the address"
            ) from error
        with client:
            yield client
        return
    with _slurm_cluster(slurm, for_blocks) as cluster, Client(cluster) as client:
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


def _slurm_cluster(text: str, for_blocks: bool) -> Any:
    from dask_jobqueue import SLURMCluster

    options = slurm_options(text)
    jobs, cores = int(options.pop("jobs")), int(options.pop("cores"))
    # a recording uses the cores of its worker by itself: one task at a time
    tasks = cores if for_blocks else 1
    cluster = SLURMCluster(cores=tasks, job_cpu=cores, processes=1, **options)
    cluster.scale(jobs=jobs)
    return cluster
