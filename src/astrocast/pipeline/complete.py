"""Whether a run is complete, without taking it up: nothing is locked or written."""

from __future__ import annotations

from pathlib import Path

from astrocast.errors import AstrocastError
from astrocast.pipeline.check import check_recording
from astrocast.pipeline.directory import RunDirectory, read_state
from astrocast.pipeline.run import RunResult, RunStages, open_source
from astrocast.pipeline.settings import RunSettings
from astrocast.runtime.provenance import plain


def find_complete_run(
    recording: Path, output: Path, settings: RunSettings
) -> RunResult | None:
    """Return the result of a run that `run_recording` would reuse as it is.

    Parameters
    ----------
    recording
        File or folder of the recording; it is read once, for its content hash.
    output
        Directory of the run.
    settings
        Parameters of all stages.

    Returns
    -------
    RunResult or None
        None where anything differs, is missing or cannot be read: `run_recording` then
        computes it, or says what is wrong.
    """
    try:
        state = read_state(output)
        if state is None or state.get("configuration") != plain(settings.model_dump()):
            return None
        run = RunDirectory(output, state)
        stages = RunStages(run, recording, settings)
        # before the recording is read: most incomplete runs are recognised by this
        if any(e.get("status") != "complete" for e in state["stages"].values()):
            return None
        with open_source(recording, settings) as movie:
            invalid_is_replaced = settings.conversion.nan_border != "keep"
            described = check_recording(movie, allow_invalid=invalid_is_replaced)
        same_input = plain(described) == plain(state.get("input"))
        if not same_input or not run.is_complete(stages.stages()):
            return None
        return stages.result([])
    except (AstrocastError, OSError):
        return None
