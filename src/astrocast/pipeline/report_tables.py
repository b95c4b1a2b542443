"""The sentences and tables of a report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from astrocast.kernels.denoising.denoise_quality import Quality
from astrocast.pipeline.report_content import (
    ReportContent,
    as_text,
    duration_text,
    number,
)
from astrocast.pipeline.report_measures import by_size, measures
from astrocast.plotting.frame import pixel_sides
from astrocast.plotting.recording_quality import remaining

NOT_LOOKED_FOR = "Events were not looked for in this run."
_LARGEST = 15


@dataclass(frozen=True)
class Table:
    """Rows of text under headings, with a caption."""

    caption: str
    head: list[str]
    rows: list[list[str]]


def headline(content: ReportContent) -> str:
    """Return the result of the run in a sentence or two.

    >>> import pandas as pd
    >>> headline(
    ...     ReportContent(
    ...         name="a",
    ...         shape=(60, 8, 8),
    ...         frame_rate=1.0,
    ...         events=pd.DataFrame({"z0": [], "z1": []}),
    ...     )
    ... )
    'No events were detected in 60 frames (1 min). ...'
    """
    frames = content.shape[0]
    length = f"{frames:,} frames"
    if content.frame_rate is not None:
        length += f" ({duration_text(frames / content.frame_rate)})"
    if content.events is None:
        return f"{length}. {NOT_LOOKED_FOR}"
    found = len(content.events)
    if not found:
        return (
            f"No events were detected in {length}. That is a valid result. If the"
            " projections or the mean trace show activity, look at the detection"
            " parameters at the end of this page: a lower prominence or threshold"
            " finds weaker events."
        )
    text = f"{found:,} event{'s were' if found > 1 else ' was'} detected in {length}"
    if content.frame_rate is not None:
        text += f", {number(found / frames * content.frame_rate * 60)} per minute"
    return text + "."


def moment(created: str) -> str:
    """Return an ISO date and time as a person writes it; anything else as it is.

    >>> moment("2026-11-23T18:58:07+00:00"), moment("spring")
    ('2026-11-23 18:58 UTC', 'spring')
    """
    try:
        return datetime.fromisoformat(created).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return created


def facts(content: ReportContent) -> list[tuple[str, str]]:
    """Return the numbers at the top of the page, each with its name."""
    frames, rows, columns = content.shape
    sides = pixel_sides(content.pixel_size)
    field_of_view = f"{rows} x {columns} px"
    if sides:
        field_of_view += (
            f" ({number(rows * sides[0])} x {number(columns * sides[1])} µm)"
        )
    shown = [("frames", number(frames)), ("field of view", field_of_view)]
    shown.append(
        (
            "frame rate",
            (
                f"{number(content.frame_rate)} Hz"
                if content.frame_rate is not None
                else "not known"
            ),
        )
    )
    if content.dtype:
        shown.append(("values", content.dtype))
    if content.events is not None and len(content.events):
        shown.insert(0, ("events", number(len(content.events))))
        shown += [
            (
                f"median {measure.name}",
                f"{number(float(np.nanmedian(measure.values)))} {measure.unit}".strip(),
            )
            for measure in measures(content)
        ]
    left = (
        remaining(content.fluorescence) if content.fluorescence is not None else np.nan
    )
    if np.isfinite(left):
        shown.append(("fluorescence at the end", f"{left:.0%} of the start"))
    return shown


def score(content: ReportContent) -> Table | None:
    """Return how well the known events of a simulation were found."""
    if content.score is None:
        return None
    #: by how a measure's name begins; the rest of the name says at which overlap events
    #: count as matched
    meanings = {
        "precision": "share of the events found that are true",
        "recall": "share of the true events that were found",
        "F1": "harmonic mean of precision and recall",
        "mean IoU": (
            "overlap of the matched events, intersection over union of their voxels"
        ),
        "true events": "events of the simulation that are in view",
        "found events": "rows of the event table",
    }
    rows = [
        [
            name,
            number(value),
            next(
                (text for begin, text in meanings.items() if name.startswith(begin)), ""
            ),
        ]
        for name, value in content.score.items()
    ]
    return Table(
        "Recovery of the known events of this simulation",
        ["measure", "value", "meaning"],
        rows,
    )


def largest_events(content: ReportContent) -> Table | None:
    """Return the table of the events of the largest amplitude."""
    events = content.events
    if events is None or not len(events):
        return None
    order = by_size(events)[:_LARGEST]
    head, columns = ["event"], [[str(events.index[i]) for i in order]]
    if "z0" in events:
        rate = content.frame_rate
        head.append("onset (s)" if rate is not None else "onset (frame)")
        columns.append(
            [
                number(float(z) / rate if rate is not None else int(z))
                for z in events["z0"].to_numpy()[order]
            ]
        )
    for measure in measures(content):
        head.append(measure.label)
        columns.append([number(float(value)) for value in measure.values[order]])
    for name, label in (
        ("v_fp_cx", "row (px)"),
        ("v_fp_cy", "column (px)"),
        ("v_signal_to_noise_ratio_fold", "SNR (sd)"),
    ):
        if name in events:
            head.append(label)
            columns.append(
                [
                    number(float(value))
                    for value in events[name].to_numpy(np.float64)[order]
                ]
            )
    caption = (
        f"The {len(order)} events of the largest amplitude"
        if len(events) > len(order)
        else "All events"
    )
    return Table(caption, head, [list(row) for row in zip(*columns, strict=True)])


def provenance(content: ReportContent) -> list[Table]:
    """Return parameters, stages, input and versions as tables."""
    tables = [
        Table(
            f"Parameters of {stage}",
            ["parameter", "value"],
            [[name, as_text(v)] for name, v in values.items()],
        )
        for stage, values in content.parameters.items()
    ]
    if content.quality is not None:
        lines = Quality(**content.quality).lines()  # type: ignore[arg-type] # as they were stored
        tables.append(
            Table(
                "Quality of the denoising",
                ["measure", "value"],
                [list(line) for line in lines],
            )
        )
    if content.stages:
        rows = [
            [stage, number(values.get("seconds")), number(values.get("peak_memory_mb"))]
            for stage, values in content.stages.items()
        ]
        tables.append(Table("Stages", ["stage", "time (s)", "peak memory (MB)"], rows))
    if content.input:
        tables.append(
            Table(
                "Input",
                ["", ""],
                [[k.replace("_", " "), as_text(v)] for k, v in content.input.items()],
            )
        )
    if content.versions:
        tables.append(
            Table(
                "Versions",
                ["package", "version"],
                [[k, str(v)] for k, v in content.versions.items()],
            )
        )
    return tables
