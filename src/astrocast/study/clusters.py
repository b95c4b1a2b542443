"""Connect to a dask cluster: a running one, or workers started as SLURM jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astrocast.errors import InvalidValueError, MissingExtraError, OutputError

_SLURM = {"jobs": "1", "cores": "2", "memory": "8GB", "walltime": "04:00:00"}
_SLURM_OPTIONAL = ("queue", "account")
#: seconds to wait for a scheduler to answer
_PATIENCE = 20


@contextmanager
def connect(
    scheduler: str | None,
    slurm: str | None,
    scheduler_file: Path | None = None,
    *,
    for_blocks: bool = False,
) -> Iterator[Any]:
    """Yield a connected client, or None if no cluster is given.

    Parameters
    ----------
    scheduler
        Address of a running scheduler.
    slurm
        Options of workers that are started as SLURM jobs, see `slurm_options`.
    scheduler_file
        File to which a scheduler wrote its address.
    for_blocks
        True: the tasks are blocks of one recording, and stages use the client
        automatically. False: the tasks are whole recordings.
    """
    if sum(chosen is not None for chosen in (scheduler, slurm, scheduler_file)) > 1:
        raise InvalidValueError(
            "give only one of --scheduler, --scheduler-file and --slurm"
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
                f"the file {scheduler_file} does not exist; start a scheduler with"
                f" `dask scheduler --scheduler-file {scheduler_file}` in a folder that"
                " all workers can access"
            )
        where = {"scheduler_file": str(scheduler_file)} if scheduler_file else {}
        try:
            client = Client(
                scheduler, timeout=_PATIENCE, set_as_default=for_blocks, **where
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise OutputError(
                f"no scheduler answered at {scheduler or scheduler_file}; start one"
                " with `dask scheduler`, or check the address"
            ) from error
        with client:
            yield client
        return
    with _slurm_cluster(slurm, for_blocks) as cluster, Client(cluster) as client:
        yield client


def slurm_options(text: str) -> dict[str, str]:
    """Return the options in a text like ``jobs=8,cores=4,memory=16GB``.

    >>> slurm_options("jobs=8,memory=16GB")["memory"]
    '16GB'
    """
    options = dict(_SLURM)
    known = (*_SLURM, *_SLURM_OPTIONAL)
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            raise InvalidValueError(
                f"--slurm contains {part!r}; expected NAME=VALUE, with a name of"
                f" {', '.join(known)}"
            )
        options[name] = value
    for name in ("jobs", "cores"):
        if not options[name].isdigit() or not int(options[name]):
            raise InvalidValueError(
                f"--slurm: {name} is {options[name]!r}; expected a number above 0"
            )
    return options


def _slurm_cluster(text: str, for_blocks: bool) -> Any:
    from dask_jobqueue import SLURMCluster

    options = slurm_options(text)
    jobs, cores = int(options.pop("jobs")), int(options.pop("cores"))
    # a task that is a whole recording uses all cores of its worker
    tasks = cores if for_blocks else 1
    # its page of diagnostics is at a free port: others may use this computer
    free_port = {"dashboard_address": ":0"}
    cluster = SLURMCluster(
        cores=tasks, job_cpu=cores, processes=1, scheduler_options=free_port, **options
    )
    cluster.scale(jobs=jobs)
    return cluster
