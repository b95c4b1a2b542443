"""The figures of a report, and the sentences that replace missing figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocast import plotting
from astrocast.io.naming import last_part
from astrocast.pipeline.report_content import ReportContent, number
from astrocast.pipeline.report_measures import Question, by_size, is_cut, measures
from astrocast.pipeline.report_panels import Panel, Section, panel
from astrocast.pipeline.report_tables import (
    NO_DETECTION,
    largest_events,
    trust,
)

Drawn = Callable[[], Axes] | str

#: from this number of events, a heat map of their centres is shown as well
_MANY = 100
_NO_TIMES = "The event table has no times."
_NO_EVENTS = "No figure: no events were detected."


def figure_sections(content: ReportContent) -> list[Section]:
    """Return the sections of one channel; each answers a question, quality first."""
    large, fast = measure_panels(content, "large"), measure_panels(content, "fast")
    largest = largest_events(content)
    sections = [
        Section(
            "quality",
            "Can I trust it?",
            "Frames, motion, noise, events: what was corrected, marked and left out.",
            quality_panels(content),
            [trust(content)],
        ),
        Section(
            "time",
            "How many, and when?",
            "Events over time.",
            list(time_panels(content)),
        ),
        Section(
            "tissue",
            "Where?",
            "Projections over all frames, and the events.",
            list(tissue_panels(content)),
        ),
        Section(
            "size",
            "How large?",
            "Amplitude and area of single events. A trace is the mean over the fixed"
            " footprint of the event, with frames before and after the event; pixels of"
            " other events are left out.",
            [*event_panels(content), *large],
            [largest] if largest else [],
        ),
        Section(
            "speed",
            "How fast?",
            "Times and speed of single events. Events that are cut by the start or end"
            " of the recording are left out.",
            fast or [panel("Times", "", "", _why_no_events(content) or _NO_TIMES)],
        ),
    ]
    if not content.channel:
        return sections
    last = last_part(content.channel)
    return [
        replace(section, id=f"{section.id}-{last}", title=f"{section.title} ({last})")
        for section in sections
    ]


def tissue_panels(content: ReportContent) -> Iterator[Panel]:
    """Yield footprints and projections."""
    background = content.projections.get("max")
    where: Callable[[], Axes] | str
    if background is None:
        where = "No figure: this run has no maximum projection."
    elif none := _why_no_events(content):
        where = none
    elif content.onset_map is None and content.outlines is None:
        where = "No figure: the footprints of the events were not stored in this run."
    else:

        def where() -> Axes:
            return plotting.footprints(
                background,
                onset_map=content.onset_map,
                outlines=content.outlines,
                onsets=_onsets(content),
                frames=content.shape[0],
                frame_rate=content.frame_rate,
                pixel_size=content.pixel_size,
            )

    yield panel(
        "Events over the tissue",
        "Footprints over the maximum projection. The colour is the onset of the event;"
        " where events overlap, that of the first one.",
        f"Maximum projection of {content.name} with {_count(content)} drawn in colours"
        " from early to late onset",
        where,
    )
    events = content.events
    if events is not None and len(events) >= _MANY:
        yield panel(
            "Event density",
            "Number of events whose centre lies in each part of the image.",
            f"Heat map of the centres of {_count(content)}",
            lambda: plotting.density(
                events, content.shape[1:], pixel_size=content.pixel_size
            ),
        )
    titles = {"mean": "Mean", "max": "Maximum", "std": "Standard deviation"}
    captions = {
        "mean": "Mean of each pixel over time: shows the structure.",
        "max": "Maximum of each pixel over time: shows every bright event.",
        "std": "Standard deviation of each pixel over time: shows where the signal"
        " changes.",
    }
    for name, image in content.projections.items():
        title = titles.get(name, name)
        yield panel(
            f"{title} projection" if name in titles else title,
            captions.get(name, f"{name}, one value per pixel."),
            f"{title} of each pixel over all frames, in grey",
            lambda image=image: plotting.projection(
                image, pixel_size=content.pixel_size
            ),  # type: ignore[misc]
        )
    if not content.projections:
        yield panel("Projections", "", "", "No projections were computed in this run.")


def time_panels(content: ReportContent) -> Iterator[Panel]:
    """Yield raster, rate and mean trace as one figure with a common time axis."""
    none = _why_no_events(content)
    if none:
        yield panel("Raster and event rate", "", "", none)
    if content.mean_trace is None:
        yield panel(
            "Mean trace", "", "", "The mean trace was not computed in this run."
        )
    sentences, shown = [], []
    if not none:
        shown.append(f"raster of {_count(content)} and their rate")
        sentences.append(
            "Each row is an event, from its first to its last frame; a triangle marks"
            " an event that is cut by the start or end of the recording. Below: onsets."
        )
    if content.mean_trace is not None:
        shown.append("mean trace")
        sentences.append("The line is the mean over all pixels of each frame.")
    if len(sentences) == 2:
        sentences.append(
            "Ticks below the line are onsets; the shade marks frames with at least one"
            " active event."
        )
    if sentences:
        yield panel(
            "Mean trace" if none else "Events over time",
            " ".join(sentences),
            f"Over time: {', '.join(shown)}",
            lambda: time_course(content),
            wide=True,
        )


def time_course(content: ReportContent) -> Axes:
    """Draw raster, rate and mean trace below each other; return the lowest axes.

    Parts without data are left out.
    """
    rate, frames, events = content.frame_rate, content.shape[0], content.events
    rows: list[tuple[float, Callable[[Axes], Axes]]] = []
    if events is not None and len(events):
        height = float(np.clip(1.0 + 0.03 * len(events), 1.6, 3.4))
        rows.append(
            (
                height,
                lambda ax: plotting.raster(events, ax, frames=frames, frame_rate=rate),
            )
        )
        rows.append(
            (
                1.3,
                lambda ax: plotting.event_rate(
                    events, ax, frames=frames, frame_rate=rate
                ),
            )
        )
    trace = content.mean_trace
    if trace is not None:
        label = f"mean {content.signal}"
        rows.append(
            (
                1.8,
                lambda ax: plotting.mean_trace(
                    trace, ax, events=events, frame_rate=rate, label=label
                ),
            )
        )
    heights = [height for height, _ in rows]
    figure = Figure(figsize=(9.0, sum(heights) + 0.6), layout="constrained")
    axes = figure.subplots(
        len(rows), 1, sharex=True, height_ratios=heights, squeeze=False
    )[:, 0]
    for ax, (_, draw) in zip(axes, rows, strict=True):
        draw(ax).label_outer()
    figure.align_ylabels()
    return axes[-1]


def event_panels(content: ReportContent) -> Iterator[Panel]:
    """Yield the gallery and the average of the traces."""
    none = _why_no_events(content)
    if none:
        yield panel("Traces and measures", "", "", none)
        return
    events = content.events
    assert events is not None
    found = _traces(events)
    if found is None:
        return
    traces, spans = found
    order = by_size(events)
    first = order[:24]
    names = [_trace_name(events, i) for i in first]
    shaded = spans is not None
    yield panel(
        "Gallery",
        f"Traces of the {len(first)} events with the largest amplitude, of"
        f" {len(events):,}; all have the same vertical scale."
        + (" Shaded: the frames of the event." if shaded else ""),
        f"Grid of the traces of {len(first)} events",
        lambda: plotting.gallery(
            [traces[i] for i in first],
            names=names,
            spans=[spans[i] for i in first] if spans is not None else None,
            frame_rate=content.frame_rate,
            label=content.signal,
        ),
        wide=True,
    )
    own = [
        trace[a:b] if spans is not None else trace
        for trace, (a, b) in zip(traces, spans or [(0, 0)] * len(traces), strict=True)
    ]
    whole = ~is_cut(events)
    yield panel(
        "Average event",
        "Mean of the traces, aligned at their peak, with its standard error"
        + (f"; {(~whole).sum()} cut events were left out." if not whole.all() else "."),
        "Mean trace around the peak with a band for the standard error",
        lambda: plotting.average_trace(
            [trace for trace, is_whole in zip(own, whole, strict=True) if is_whole],
            align="peak",
            frame_rate=content.frame_rate,
            label=content.signal,
        ),
    )


def _traces(
    events: pd.DataFrame,
) -> tuple[list[NDArray[np.float64]], list[tuple[int, int]] | None] | None:
    """Return the traces minus their baseline, and (start, stop) of the event in each.

    None if the table has no traces.
    """
    if "footprint_trace" in events:
        levels = events["local_baseline"].to_numpy(np.float64)
        traces = [
            np.asarray(trace, np.float64) - level
            for trace, level in zip(events["footprint_trace"], levels, strict=True)
        ]
        starts = events["footprint_trace_z0"].to_numpy(np.int64)
        begins = events["z0"].to_numpy(np.int64) - starts
        ends = events["z1"].to_numpy(np.int64) - starts
        return traces, list(zip(begins.tolist(), ends.tolist(), strict=True))
    if "trace" in events:
        return [np.asarray(trace, np.float64) for trace in events["trace"]], None
    return None


def _trace_name(events: pd.DataFrame, index: int) -> str:
    """Return the title of a trace, with a remark if the recording cuts the event."""
    cut = " (cut)" if is_cut(events)[index] else ""
    return f"event {events.index[index]}{cut}"


def measure_panels(content: ReportContent, question: Question) -> list[Panel]:
    """Return the histograms of the measures that answer a question."""
    return [
        panel(
            measure.name[:1].upper() + measure.name[1:],
            f"{measure.meaning} Median {number(measure.median)} {measure.unit}".rstrip()
            + "."
            + (f" {measure.cut} cut events were left out." if measure.cut else ""),
            f"Histogram of the {measure.name} of {_count(content)}",
            lambda m=measure: plotting.distribution(  # type: ignore[misc]
                m.values[np.isfinite(m.values)], label=m.label, step=m.step
            ),
        )
        for measure in measures(content)
        if measure.question == question
    ]


def quality_panels(content: ReportContent) -> list[Panel]:
    """Return shifts, registration and bleaching."""
    return [
        _shift_panel(content),
        _registration_panel(content),
        _bleaching_panel(content),
    ]


def _shift_panel(content: ReportContent) -> Panel:
    moved = content.shifts
    if moved is None:
        drawn: Drawn = "No figure: motion was not corrected in this run."
    else:
        drawn = partial(
            plotting.shifts,
            moved,
            frame_rate=content.frame_rate,
            pixel_size=content.pixel_size,
            bad_frames=np.asarray(content.bad_frames),
        )
    return panel(
        "Estimated shifts",
        "Shift of each frame that the motion correction removed.",
        "Shift of each frame along rows and columns",
        drawn,
        wide=True,
    )


def _registration_panel(content: ReportContent) -> Panel:
    summary = "; ".join(
        f"{name.replace('_', ' ')} {number(value)}"
        for name, value in content.registration_summary.items()
    )
    summary = summary[:1].upper() + summary[1:]
    if not content.registration:
        drawn: Drawn = (
            "No figure: the quality of the registration was not measured in this run."
        )
    else:
        drawn = partial(
            plotting.registration,
            content.registration,
            frame_rate=content.frame_rate,
            bad_frames=np.asarray(content.bad_frames),
        )
    return panel(
        "Registration",
        "Agreement of each frame with the template."
        + (f" {summary}." if summary else ""),
        "Correlation of each frame with the template before and after motion"
        " correction",
        drawn,
        wide=True,
    )


def _bleaching_panel(content: ReportContent) -> Panel:
    if content.fluorescence is None:
        drawn: Drawn = (
            "No figure: the fluorescence before bleach correction was not stored in"
            " this run."
        )
    else:
        drawn = partial(
            plotting.bleaching,
            content.fluorescence,
            baseline=content.baseline,
            frame_rate=content.frame_rate,
        )
    return panel(
        "Bleaching",
        "Mean fluorescence before bleach correction, and the baseline that was"
        " subtracted.",
        "Mean fluorescence of each frame over time",
        drawn,
        wide=True,
    )


def _onsets(content: ReportContent) -> dict[int, float]:
    """Return the first frame of each event."""
    if content.events is None or "z0" not in content.events:
        return {}
    return {
        int(str(i)): float(z)
        for i, z in content.events["z0"].items()
        if str(i).isdigit()
    }


def _why_no_events(content: ReportContent) -> str:
    """Return the sentence to show instead of events; empty if there are events."""
    if content.events is None:
        return NO_DETECTION
    return "" if len(content.events) else _NO_EVENTS


def _count(content: ReportContent) -> str:
    """Return the number of events as text."""
    found = 0 if content.events is None else len(content.events)
    return f"{found:,} event{'' if found == 1 else 's'}"
