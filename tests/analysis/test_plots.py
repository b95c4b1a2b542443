"""Figures of events: the right numbers are drawn, with labels."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from astrocast.analysis import Events
from astrocast.errors import DatasetNotFoundError, InvalidValueError
from astrocast.plotting.clusters import clustering_scores


@pytest.fixture
def events(store):
    return Events(store, data="infer")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_every_figure_is_labelled_and_takes_axes(events):
    events.events["cluster"] = ["a", "a", "b"]
    draws = {
        "traces": events.plot.traces,
        "raster": events.plot.raster,
        "footprints": events.plot.footprints,
        "density": events.plot.density,
        "distribution": lambda ax: events.plot.distribution(
            "dz", ax, label="duration (frames)"
        ),
        "average": lambda ax: events.plot.average_trace("cluster", ax),
    }
    _, axes = plt.subplots(2, 3)
    for (name, draw), ax in zip(draws.items(), axes.flat, strict=True):
        assert draw(ax=ax) is ax, name
        assert ax.get_xlabel(), name
        assert ax.get_ylabel(), name
    assert len(axes.flat[0].lines) == 3
    assert len(axes.flat[5].lines) == 2
    assert axes.flat[1].get_xlim()[1] == 4.0  # 40 frames at 10 Hz
    with pytest.raises(DatasetNotFoundError):
        events.plot.distribution("nothing")


def test_plots_without_a_recording(store):
    events = Events(store)
    assert events.plot.footprints().get_xlabel()
    assert events.plot.raster(group="group") is not None


def some_counts():
    """Two kinds of groups: a and b have the first two clusters, c and d the others."""
    values = [[30, 28, 2, 1], [20, 22, 1, 2], [1, 2, 25, 26], [3, 1, 18, 20]]
    columns = pd.Index(["a", "b", "c", "d"], name="group")
    return pd.DataFrame(
        values, index=pd.Index(range(4), name="cluster"), columns=columns
    )


# seaborn calls what matplotlib will drop
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_cluster_counts_are_ordered_by_similarity_and_scored(events):
    pytest.importorskip("seaborn", reason="the extra analysis is not installed")
    grid, scores = events.plot_cluster_counts(some_counts(), group_cmap="auto")
    order = [some_counts().columns[i] for i in grid.dendrogram_col.reordered_ind]
    assert {frozenset(order[:2]), frozenset(order[2:])} == {
        frozenset("ab"),
        frozenset("cd"),
    }
    assert scores["columns_clusters"] == 2
    assert scores["columns_silhouette"] > 0.8
    assert grid.ax_heatmap.get_xlabel() == "group"
    assert grid.ax_heatmap.get_ylabel() == "cluster"

    turned, _ = events.plot_cluster_counts(
        some_counts(), transpose=True, z_score=None, method="single", metric="cityblock"
    )
    assert turned.data.shape == (4, 4)
    assert turned.data.loc["a", 0] == 30
    share, _ = events.plot_cluster_counts(
        some_counts(),
        {0: ["divide", {"mode": "max"}]},
        z_score=None,
        center=0.5,
        cmap="mako",
    )
    assert_allclose(share.data.max(axis=1), 1)
    with pytest.raises(InvalidValueError, match="no colour for"):
        events.plot_cluster_counts(some_counts(), group_cmap={"a": "red"})
    with pytest.raises(InvalidValueError, match="NaN"):
        events.plot_cluster_counts(some_counts().astype(float).replace(1, np.nan))


def test_scores_are_those_of_the_libraries_on_two_clear_groups():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 0.1, (5, 2)), rng.normal(5, 0.1, (6, 2))])
    scores = clustering_scores(values, "average", "euclidean")
    assert scores["rows_clusters"] == 2
    assert scores["rows_silhouette"] > 0.9
    assert scores["rows_cophenetic"] > 0.99
    assert np.isnan(scores["columns_silhouette"])  # two columns cannot be clustered
