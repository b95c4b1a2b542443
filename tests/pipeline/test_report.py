from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from astrocast.errors import OutputError
from astrocast.pipeline.report import ReportContent, report_page, write_report
from astrocast.pipeline.report_content import as_text, duration_text, number
from astrocast.pipeline.report_measures import measures
from astrocast.pipeline.report_methods import citations, methods_text

FRAMES, ROWS, COLUMNS = 60, 24, 32


def table(count: int) -> pd.DataFrame:
    """Events of 2 to 12 frames and 4 to 40 pixels, with the columns of the event table
    that the report reads.
    """
    rng = np.random.default_rng(0)
    begin, length = rng.integers(0, 48, count), rng.integers(2, 12, count)
    return pd.DataFrame(
        {
            "z0": begin,
            "z1": begin + length,
            "v_fp_area": rng.integers(4, 40, count).astype(float),
            "v_fp_cx": rng.uniform(0, ROWS, count),
            "v_fp_cy": rng.uniform(0, COLUMNS, count),
            "v_max_height": rng.uniform(1, 9, count),
            "v_signal_to_noise_ratio_fold": rng.uniform(2, 20, count),
            "trace": [rng.random(n).astype(np.float32) for n in length],
        },
        index=pd.Index(np.arange(1, count + 1), name="event_id"),
    )


def content(count: int = 12) -> ReportContent:
    rng = np.random.default_rng(1)
    onset = np.full((ROWS, COLUMNS), np.nan)
    onset[4:9, 5:11] = 20
    trace = rng.random(FRAMES)
    return ReportContent(
        name="slice_3.tif",
        shape=(FRAMES, ROWS, COLUMNS),
        dtype="uint16",
        frame_rate=2.0,
        pixel_size=(0.5, 0.5),
        signal="dF (counts)",
        created="2026-01-01",
        projections={
            name: rng.random((ROWS, COLUMNS)) for name in ("mean", "max", "std")
        },
        onset_map=onset if count else np.full((ROWS, COLUMNS), np.nan),
        events=table(count),
        mean_trace=trace,
        shifts=rng.normal(size=(FRAMES, 2)),
        registration={"before": trace, "after": trace + 1},
        registration_summary={"crispness before": 3.25},
        bad_frames=[3],
        fluorescence=100 - trace,
        baseline=90 - trace,
        score={
            "precision at IoU 0.5": 0.95,
            "recall at IoU 0.5": 0.9,
            "F1 at IoU 0.3": 0.924,
            "mean IoU of the matched": 0.8,
        },
        parameters={"delta": {"window": 20, "method": "dF"}},
        stages={"delta": {"seconds": 1.5, "peak_memory_mb": 210.0}},
        input={"path": "slice_3.tif", "content_hash": "00ff"},
        versions={"astrocast": "0.1.0"},
        warnings=["one frame could not be registered well"],
    )


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def images(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "img"]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(report_page(content()))


def test_the_report_has_every_part(page: Page) -> None:
    alts = " | ".join(str(image["alt"]) for image in page.images())
    for part in (
        "with 12 events drawn",
        "Mean of each pixel",
        "Maximum of each",
        "Standard deviation",
        "raster of 12 events",
        "mean trace",
        "Grid of the traces",
        "Mean trace around the peak",
        "duration",
        "area",
        "amplitude",
        "Shift of each frame",
        "Correlation of each frame",
        "Mean fluorescence",
    ):
        assert part in alts
    for text in (
        "slice_3.tif",
        "12 events were detected in 60 frames (30 s), 24 per minute.",
        "0.924",
        "content hash",
        "00ff",
        "window",
        "one frame could not be registered well",
        "210",
        "0.1.0",
        "12 x 16 µm",
        "harmonic mean",
        "fraction of the true events",
        "fraction of the detected events",
        "intersection",
    ):
        assert text in page.text


def test_it_is_well_formed_and_accessible(page: Page) -> None:
    assert page.open == []
    assert ("html", {"lang": "en"}) in page.tags
    assert all(len(str(image["alt"])) > 15 for image in page.images())
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert {f"#{name}" for name in ids} == set(targets)


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "style"):
            assert str(attributes.get(name) or "#").startswith(("#", "data:image/"))
    css = report_page(content(0)).split("<style>")[1].split("</style>")[0]
    assert "url(" not in css
    assert "@import" not in css


def test_the_file_is_written_whole_and_alone(tmp_path: Path) -> None:
    path = write_report(tmp_path, content(0))
    assert path.read_text(encoding="utf-8") == report_page(content(0))
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_same_content_gives_the_same_bytes() -> None:
    few = replace(
        content(1), projections={}, shifts=None, registration={}, fluorescence=None
    )
    assert report_page(few) == report_page(few)


def test_text_from_outside_is_escaped() -> None:
    bad = "<script>alert(1)</script>&\"'"
    found = replace(
        content(0),
        name=bad,
        warnings=[bad],
        versions={bad: bad},
        parameters={bad: {bad: bad}},
        input={bad: bad},
        registration_summary={bad: 1.0},
        created=bad,
        signal=bad,
        dtype=bad,
    )
    text = report_page(found)
    assert "<script" not in text
    assert Page(text).text.count(bad) >= 8


def test_no_events_are_a_valid_result() -> None:
    page = Page(report_page(content(0)))
    assert "No events were detected in 60 frames (30 s)." in page.text
    assert "No figure: no events were detected" in page.text
    assert not any("events" in str(image["alt"]) for image in page.images())


def test_one_event() -> None:
    few = replace(
        content(1), projections={}, shifts=None, registration={}, fluorescence=None
    )
    assert "1 event was detected" in Page(report_page(few)).text


def test_nothing_but_a_name_and_a_shape() -> None:
    page = Page(report_page(ReportContent(name="bare", shape=(10, 4, 5))))
    assert page.images() == []
    for text in (
        "No detection was run",
        "No projections were computed",
        "motion was not corrected",
        "mean trace was not computed",
        "Parameters and versions were not stored",
    ):
        assert text in page.text


@pytest.mark.parametrize(
    ("parts", "messages"),
    [
        (
            ("projections", "mean_trace", "registration", "baseline"),
            (
                "No projections were computed in this run.",
                "The mean trace was not computed in this run.",
                "No figure: the quality of the registration was not measured in this",
            ),
        ),
        (
            ("onset_map", "shifts", "fluorescence", "score"),
            (
                "No figure: the footprints of the events were not stored in this run.",
                "No figure: motion was not corrected in this run.",
                "No figure: the fluorescence before bleach correction was not stored in"
                " this run.",
            ),
        ),
    ],
)
def test_parts_may_be_missing(parts: tuple[str, ...], messages: tuple[str, ...]):
    empty: dict[str, object] = {"projections": {}, "registration": {}}
    page = Page(
        report_page(replace(content(2), **{part: empty.get(part) for part in parts}))
    )
    assert "2 events were detected" in page.text
    for message in messages:
        assert message in page.text


def test_an_event_table_of_few_columns() -> None:
    few = table(4)[["z0", "z1"]]
    assert "4 events were detected" in report_page(replace(content(4), events=few))


def test_many_events_stay_a_small_file(tmp_path: Path) -> None:
    many = replace(
        content(),
        shape=(20_000, ROWS, COLUMNS),
        events=table(5000),
        shifts=None,
        registration={},
    )
    path = write_report(tmp_path, many)
    assert path.stat().st_size < 3_000_000
    assert "Heat map of the centres of 5,000 events" in path.read_text(encoding="utf-8")


def test_measures_are_physical_where_units_are_known() -> None:
    known = {measure.name: measure for measure in measures(content())}
    plain = {
        measure.name: measure
        for measure in measures(replace(content(), frame_rate=None, pixel_size=None))
    }
    np.testing.assert_allclose(known["duration"].values, plain["duration"].values / 2)
    np.testing.assert_allclose(known["area"].values, plain["area"].values / 4)
    assert [known[name].label for name in known] == [
        "duration (s)",
        "area (µm²)",
        "amplitude (counts)",
    ]
    assert [plain[name].label for name in plain] == [
        "duration (frames)",
        "area (px)",
        "amplitude (counts)",
    ]


def test_a_directory_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"report\.html cannot be written"):
        write_report(tmp_path / "missing", content(0))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2013"),
        (np.nan, "\u2013"),
        (0, "0"),
        (1234567, "1,234,567"),
        (1234.5, "1,234"),
        (2.5, "2.5"),
        (0.00012, "0.00012"),
        (np.float32(3.0), "3"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_are_written_for_readers(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.25, "1.25 s"),
        (59.6, "59.6 s"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7325, "2 h 2 min 5 s"),
    ],
)
def test_durations_are_written_for_readers(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_parameters_are_written_as_in_a_configuration_file() -> None:
    assert [as_text(v) for v in (None, True, (1, 2), "auto", 0.5, Path("a"))] == [
        "null",
        "true",
        "[1, 2]",
        "auto",
        "0.5",
        "a",
    ]


def test_the_template_is_part_of_the_package() -> None:
    from importlib.resources import files

    names = {
        path.name
        for path in files("astrocast.pipeline").joinpath("templates").iterdir()
    }
    assert {"report.html.j2", "report.css"} <= names
    assert not re.search(
        r"\|\s*safe",
        files("astrocast.pipeline").joinpath("templates/report.html.j2").read_text(),
    )


@pytest.mark.parametrize(
    ("method", "said", "paper"),
    [
        ("train", "trained on the recording itself", "DeepInterpolation"),
        ("svd", "singular value decomposition", "Gavish"),
    ],
)
def test_the_methods_paragraph_names_the_denoising_that_was_used(
    method: str, said: str, paper: str
) -> None:
    denoising = {"method": method, "svd_patch": 16}
    shown = replace(content(), parameters={"denoising": denoising})
    assert said in methods_text(shown)
    papers = "".join(citations(shown))
    assert paper in papers
    assert ("DeepInterpolation" in papers) == (method == "train")


def test_the_methods_paragraph_gives_no_window_to_a_fitted_decay() -> None:
    delta = {"method": "dFF", "baseline": "exponential", "window": 20}
    assert "window" not in methods_text(replace(content(), parameters={"delta": delta}))
