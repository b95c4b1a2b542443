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

    Exit code 2 if one differs. Changes nothing.
    """
    from astrocast.errors import FormatError
    from astrocast.pipeline.run import check_run

    found = check_run(run)
    for stage, problems in found.items():
        typer.echo(f"{stage}: {'; '.join(problems) or 'as it was written'}")
    if any(found.values()):
        raise FormatError(
            f"{run} has changed since it was written; run the same recording again:"
            " damaged stages are computed again"
        )
