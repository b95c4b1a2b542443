"""The figures of a report, and the sentences that stand where one cannot be drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from astrocast import plotting
from astrocast.pipeline.report_content import ReportContent, number
from astrocast.pipeline.report_measures import by_size, measures
from astrocast.pipeline.report_tables import NOT_LOOKED_FOR
from astrocast.plotting.frame import figure_of

#: events from which on a heat map of their places says more than their footprints
_MANY = 100
_NO_EVENTS = "There is nothing to draw: no events were detected."


@dataclass(frozen=True)
class Panel:
    """One figure of the report, or the sentence that stands in its place."""

    title: str
    caption: str
    alt: str = ""
    image: str = ""  # a data URI
    wide: bool = False
    missing: str = ""


@dataclass(frozen=True)
class Section:
    """Panels under a heading."""

    id: str
    title: str
    lead: str
    panels: list[Panel]


def figure_sections(content: ReportContent) -> list[Section]:
    """Return all figures of the report."""
    return [
        Section(
            "tissue",
            "Where",
            "Images over all frames, and the events in them.",
            list(tissue_panels(content)),
        ),
        Section(
            "time",
            "When",
            "Events over the time of the recording.",
            list(time_panels(content)),
        ),
        Section(
            "events",
            "What",
            "Traces and measures of single events.",
            list(event_panels(content)),
        ),
        Section(
            "quality",
            "Recording quality",
            "What was corrected before events were looked for.",
            list(quality_panels(content)),
        ),
    ]


def tissue_panels(content: ReportContent) -> Iterator[Panel]:
    """Yield footprints and projections."""
    background = content.projections.get("max")
    where: Callable[[], Axes] | str
    if background is None:
        where = "There is no maximum projection to draw the events over."
    elif none := _why_no_events(content):
        where = none
    elif content.onset_map is None and content.outlines is None:
        where = "The footprints of the events were not kept in this run."
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
        "Footprints coloured by the onset of the event, over the maximum projection."
        " Where events overlap, the colour is that of the first one.",
        f"Maximum projection of {content.name} with {_count(content)} drawn in colours"
        " from early to late onset",
        where,
    )
    events = content.events
    if events is not None and len(events) >= _MANY:
        yield panel(
            "Event density",
            "How many events have their centre where.",
            f"Heat map of the centres of {_count(content)}",
            lambda: plotting.density(
                events, content.shape[1:], pixel_size=content.pixel_size
            ),
        )
    titles = {"mean": "Mean", "max": "Maximum", "std": "Standard deviation"}
    captions = {
        "mean": "Mean of each pixel over time: the structure.",
        "max": "Maximum of each pixel over time: everything that ever lit up.",
        "std": "Standard deviation of each pixel over time: where the signal changes.",
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
    """Yield raster, rate and mean trace, as one figure with one axis of time."""
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
            "Each row is an event from its first to its last frame; below it, how many"
            " begin."
        )
    if content.mean_trace is not None:
        shown.append("mean trace")
        sentences.append("The line is the mean over all pixels of each frame.")
    if len(sentences) == 2:
        sentences.append(
            "Ticks at its foot are onsets, the shade is where at least one event is"
            " active."
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
    """Draw raster, rate and mean trace above each other, what is not there being left
    out; return the lowest axes.
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
    """Yield gallery, average and distributions."""
    none = _why_no_events(content)
    if none:
        yield panel("Traces and measures", "", "", none)
        return
    events = content.events
    if events is not None and "trace" in events:
        order = by_size(events)
        traces = events["trace"].to_numpy()
        first = [traces[i] for i in order[:24]]
        names = [f"event {events.index[i]}" for i in order[:24]]
        yield panel(
            "Gallery",
            f"Traces of the {len(first)} largest of {len(events):,} events by"
            " amplitude, all on one scale of height.",
            f"Grid of the traces of {len(first)} events",
            lambda: plotting.gallery(
                first, names=names, frame_rate=content.frame_rate, label=content.signal
            ),
            wide=True,
        )
        yield panel(
            "Average event",
            "Mean of all traces, aligned at their peak, with its standard error.",
            "Mean trace around the peak with a band for the standard error",
            lambda: plotting.average_trace(
                list(traces),
                align="peak",
                frame_rate=content.frame_rate,
                label=content.signal,
            ),
        )
    for measure in measures(content):
        yield panel(
            measure.name.capitalize(),
            f"{measure.meaning} Median {number(float(np.nanmedian(measure.values)))}"
            f" {measure.unit}.".replace(" .", "."),
            f"Histogram of the {measure.name} of {_count(content)}",
            lambda m=measure: plotting.distribution(
                m.values, label=m.label, step=m.step
            ),  # type: ignore[misc]
        )


def quality_panels(content: ReportContent) -> Iterator[Panel]:
    """Yield shifts, registration and bleaching."""
    rate, moved, fluorescence = content.frame_rate, content.shifts, content.fluorescence
    yield panel(
        "Estimated shifts",
        "How far each frame had moved before it was put back.",
        "Shift of each frame along rows and columns",
        (
            (
                lambda: plotting.shifts(
                    moved,
                    frame_rate=rate,
                    pixel_size=content.pixel_size,
                    bad_frames=np.asarray(content.bad_frames),
                )
            )
            if moved is not None
            else "Motion was not corrected in this run."
        ),
        wide=True,
    )
    summary = "; ".join(
        f"{name.replace('_', ' ')} {number(value)}"
        for name, value in content.registration_summary.items()
    )
    summary = summary[:1].upper() + summary[1:]
    yield panel(
        "Registration",
        "Agreement of each frame with the template."
        + (f" {summary}." if summary else ""),
        "Correlation of each frame with the template before and after motion"
        " correction",
        (
            (
                lambda: plotting.registration(
                    content.registration,
                    frame_rate=rate,
                    bad_frames=np.asarray(content.bad_frames),
                )
            )
            if content.registration
            else "The quality of the registration was not measured in this run."
        ),
        wide=True,
    )
    yield panel(
        "Bleaching",
        "Mean fluorescence before bleach correction, and the baseline that was"
        " subtracted.",
        "Mean fluorescence of each frame over time",
        (
            (
                lambda: plotting.bleaching(
                    fluorescence, baseline=content.baseline, frame_rate=rate
                )
            )
            if fluorescence is not None
            else "The fluorescence before bleach correction was not kept in this run."
        ),
        wide=True,
    )


def panel(
    title: str,
    caption: str,
    alt: str,
    draw: Callable[[], Axes] | str,
    wide: bool = False,
) -> Panel:
    """Return a figure as a panel, or the sentence that stands in its place."""
    if isinstance(draw, str):
        return Panel(title, caption, wide=wide, missing=draw)
    return Panel(title, caption, alt=alt, image=data_uri(draw()), wide=wide)


def data_uri(ax: Axes) -> str:
    """Return the figure of ``ax`` as a data URI: PNG where it shows an image, SVG
    otherwise.
    """
    figure = figure_of(ax)
    buffer = io.BytesIO()
    if any(axes.images for axes in figure.axes):
        figure.savefig(buffer, format="png", dpi=140, metadata={"Software": None})
        kind = "image/png"
    else:
        # the same content gives the same bytes: no random ids, no date
        with mpl.rc_context({"svg.hashsalt": "astrocast", "svg.fonttype": "path"}):
            figure.savefig(buffer, format="svg", dpi=160, metadata={"Date": None})
        kind = "image/svg+xml"
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


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
    """Return the sentence that stands where events would be drawn, empty when there are
    some.
    """
    if content.events is None:
        return NOT_LOOKED_FOR
    return "" if len(content.events) else _NO_EVENTS


def _count(content: ReportContent) -> str:
    """Return how many events there are, in words."""
    found = 0 if content.events is None else len(content.events)
    return f"{found:,} event{'' if found == 1 else 's'}"
