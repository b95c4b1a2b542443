"""``astrocast check``: compare the files of a run with their checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check(
    run: Annotated[
        Path, typer.Argument(help="Directory of a run.", show_default=False)
    ],
) -> None:
    """Compare all files of a run with their checksums.

    Exit code 2 if a file differs. No file is changed.
    """
    from astrocast.errors import FormatError
    from astrocast.pipeline.run import check_run

    found = check_run(run)
    for stage, problems in found.items():
        typer.echo(f"{stage}: {'; '.join(problems) or 'unchanged'}")
    if any(found.values()):
        raise FormatError(
            f"files in {run} have changed since they were written; run the same"
            " recording again: damaged stages are computed again"
        )
