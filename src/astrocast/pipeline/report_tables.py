"""The sentences and tables of a report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.events.measure_schema import column_in
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

NO_DETECTION = "No detection was run."
_LARGEST = 15
#: measures that fit on the page; events.csv has all
_TABLE_MEASURES = (
    "peak dF/F",
    "peak dF",
    "amplitude",
    "area",
    "duration",
    "half width",
)
_HEADLINE_MEASURES = ("duration", "area", "amplitude", "peak dF/F", "peak dF")


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
        return f"{length}. {NO_DETECTION}"
    found = len(content.events)
    if not found:
        return (
            f"No events were detected in {length}. This can be a correct result. If the"
            " projections or the mean trace show activity, change the detection"
            " parameters (at the end of this page): a lower prominence or a larger"
            " smooth_sigma finds weaker events."
        )
    text = f"{found:,} event{'s were' if found > 1 else ' was'} detected in {length}"
    if content.frame_rate is not None:
        text += f", {number(found / frames * content.frame_rate * 60)} per minute"
    return text + "."


def moment(created: str) -> str:
    """Return an ISO date and time in a readable form; other texts unchanged.

    >>> moment("2026-11-23T18:58:07+00:00"), moment("spring")
    ('2026-11-23 18:58 UTC', 'spring')
    """
    try:
        return datetime.fromisoformat(created).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return created


def facts(content: ReportContent) -> list[tuple[str, str]]:
    """Return the (name, value) pairs at the top of the page."""
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
                else "unknown"
            ),
        )
    )
    if content.dtype:
        shown.append(("values", content.dtype))
    if content.channel:
        shown.insert(0, ("channel", content.channel))
    if content.events is not None and len(content.events):
        shown.insert(0, ("events", number(len(content.events))))
        shown += [
            (
                f"median {measure.name}",
                f"{number(measure.median)} {measure.unit}".strip(),
            )
            for measure in measures(content)
            if measure.name in _HEADLINE_MEASURES
        ]
    left = (
        remaining(content.fluorescence) if content.fluorescence is not None else np.nan
    )
    if np.isfinite(left):
        shown.append(("fluorescence at the end", f"{left:.0%} of the start"))
    return shown


def score(content: ReportContent) -> Table | None:
    """Return the scores against the known events of a simulation."""
    if content.score is None:
        return None
    # beginning of the name of a score -> meaning; the rest of the name states the IoU
    # from which on events count as matched
    meanings = {
        "precision": "fraction of the detected events that are true",
        "recall": "fraction of the true events that were detected",
        "F1": "harmonic mean of precision and recall",
        "mean IoU": (
            "overlap of the matched events, intersection over union of their voxels"
        ),
        "true events": "events of the simulation inside the field of view",
        "found events": "detected events (rows of the event table)",
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
    """Return the table of the events with the largest amplitude."""
    events = content.events
    if events is None or not len(events):
        return None
    order = by_size(events)[:_LARGEST]
    columns = [("event", [str(events.index[i]) for i in order])]
    columns += _onset_column(content, events, order)
    columns += [
        (measure.label, [number(float(value)) for value in measure.values[order]])
        for measure in measures(content)
        if measure.name in _TABLE_MEASURES
    ]
    places = [("v_fp_cx", "row (px)"), ("v_fp_cy", "column (px)")]
    for ending, unit in (("um", "µm"), ("px", "px")):
        if f"x_{ending}" in events:
            places = [(f"x_{ending}", f"x ({unit})"), (f"y_{ending}", f"y ({unit})")]
    snr = "snr" if "snr" in events else "v_signal_to_noise_ratio_fold"
    for name, label in (*places, (snr, "SNR")):
        if name in events:
            values = events[name].to_numpy(np.float64)[order]
            columns.append((label, [number(float(value)) for value in values]))
    if "touches_start" in events:
        columns.append(("notes", [_list_notes(events.iloc[i]) for i in order]))
    caption = (
        f"The {len(order)} events with the largest amplitude"
        if len(events) > len(order)
        else "All events"
    )
    rows = zip(*(values for _, values in columns), strict=True)
    return Table(caption, [head for head, _ in columns], [list(row) for row in rows])


def _onset_column(
    content: ReportContent, events: pd.DataFrame, order: NDArray[np.intp]
) -> list[tuple[str, list[str]]]:
    """Return the column of onsets: the crossing of 10% of the peak, or first frames."""
    name = column_in(events.columns, "onset")
    if name is not None:
        unit = "s" if name == "onset_s" else "frame"
        values = events[name].to_numpy(np.float64)[order]
        return [(f"onset ({unit})", [number(float(value)) for value in values])]
    if "z0" not in events:
        return []
    rate = content.frame_rate
    frames = events["z0"].to_numpy()[order]
    if rate is None:
        return [("onset (frame)", [number(int(z)) for z in frames])]
    return [("onset (s)", [number(float(z) / rate) for z in frames])]


def _list_notes(event: pd.Series) -> str:
    """Return remarks on an event: cut, at the border, in bad frames, its kind."""
    notes = [
        text
        for flag, text in (
            ("touches_start", "cut by the start"),
            ("touches_end", "cut by the end"),
            ("touches_border", "at the border"),
        )
        if event.get(flag, 0) > 0
    ]
    if event.get("in_bad_frames", 0) > 0:
        notes.append(f"{int(event['in_bad_frames'])} bad frames")
    kind = event.get("kind", "")
    return ", ".join([kind, *notes] if kind and kind != "local" else notes)


def trust(content: ReportContent) -> Table:
    """Return the table on the quality of the recording and its events.

    Its rows: bad frames, motion, drift, noise, confidence, and incomplete events.
    """
    rows: list[list[str]] = []
    frames = content.shape[0]
    flagged = content.frame_quality
    if flagged is not None:
        left_out = int(flagged.loc[flagged["severity"] >= 0.5, "frame"].nunique())
        kinds = flagged.groupby("kind")["frame"].nunique()
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        rows.append(
            [
                "bad frames",
                f"{flagged['frame'].nunique()} of {frames:,}",
                (listed or "none") + f"; {left_out} left out",
            ]
        )
    rows.append(
        [
            "frames not registered well",
            f"{len(content.bad_frames)} of {frames:,}",
            "low agreement with the template; events in these frames are marked",
        ]
        if content.shifts is not None
        else ["motion", "not corrected", ""]
    )
    rows += _motion_rows(content)
    left = (
        remaining(content.fluorescence) if content.fluorescence is not None else np.nan
    )
    if np.isfinite(left):
        rows.append(["drift", f"{left:.0%}", "fluorescence at the end / at the start"])
    return Table(
        "Quality of the recording and its events",
        ["measure", "value", "meaning"],
        rows + _event_rows(content),
    )


def _motion_rows(content: ReportContent) -> list[list[str]]:
    """Return the row on the agreement with the template; empty without registration."""
    if not {"before", "after"} <= set(content.registration):
        return []
    before, after = (
        float(np.nanmedian(np.asarray(content.registration[name], np.float64)))
        for name in ("before", "after")
    )
    return [
        [
            "agreement with the template",
            f"{number(before)} → {number(after)}",
            "median correlation before and after motion correction",
        ]
    ]


def _event_rows(content: ReportContent) -> list[list[str]]:
    """Return the rows on noise, confidence and incomplete events."""
    events = content.events
    if events is None or not len(events):
        return []
    rows = []
    total = len(events)
    if "noise_df" in events and events["noise_df"].notna().any():
        unit = content.signal.partition(" (")[2].rstrip(")")
        value = number(float(events["noise_df"].median()))
        meaning = "median over events of the frame-to-frame noise (standard deviation)"
        rows.append(["noise of a trace", f"{value} {unit}".strip(), meaning])
    if "snr" in events and events["snr"].notna().any():
        value = number(float(events["snr"].median()))
        rows.append(["SNR of an event", value, "median of peak dF / noise"])
    if "confidence" in events:
        low = int((events["confidence"] < 0.95).sum())
        doubt = float((1 - events["confidence"]).sum())
        rows.append(
            [
                "confidence below 0.95",
                f"{low} of {total:,} events",
                f"about {number(doubt)} of all events may be false",
            ]
        )
    for flag, name, meaning in (
        ("touches_start", "cut by the start", "no onset, rise time and duration"),
        ("touches_end", "cut by the end", "no offset, decay time and duration"),
        ("touches_border", "at the border", "the area is incomplete"),
        ("in_bad_frames", "in bad frames", "some frames of the event are unreliable"),
    ):
        if flag in events:
            count = int((events[flag] > 0).sum())
            rows.append([name, f"{count} of {total:,} events", meaning])
    return rows


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
        lines = Quality(**content.quality).lines()  # type: ignore[arg-type] # stored by the stage
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


def coincidence(content: ReportContent) -> Table | None:
    """Return the number of coinciding events for each pair of channels."""
    pairs = content.coincidences
    if pairs is None:
        return None
    rows = []
    lag = next((c for c in pairs.columns if c.startswith("onset_lag_")), None)
    unit = "s" if lag == "onset_lag_s" else "frames"
    for (a, b), part in pairs.groupby(["channel_a", "channel_b"], sort=False):
        median = number(float(part[lag].median())) if lag else ""
        rows.append(
            [
                f"{a} and {b}",
                str(part["event_a"].nunique()),
                str(part["event_b"].nunique()),
                number(float(part[["share_of_a", "share_of_b"]].max(axis=1).median())),
                f"{median} {unit}",
            ]
        )
    return Table(
        "Events of one channel that share voxels with events of another"
        " (coincidences.csv lists the pairs)",
        [
            "channels",
            "events in the first",
            "events in the second",
            "median shared fraction of the smaller event",
            "median delay of the second",
        ],
        rows or [["none", "0", "0", "", ""]],
    )
