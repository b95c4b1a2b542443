"""Clusters are found again, animals are never split."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from astrocast.analysis import clusters
from astrocast.analysis.classification import classify
from astrocast.analysis.clusters import (
    assign_to_nearest,
    barycentres,
    cluster_distances,
    cluster_features,
    embed,
    feature_matrix,
    silhouette,
    stability,
    trace_distances,
)
from astrocast.errors import AstrocastWarning, InvalidValueError


def three_kinds(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, 240)
    area = np.exp(np.array([2.0, 4.0, 6.0])[kind] + rng.normal(0, 0.25, 240))
    duration = np.array([5.0, 20.0, 8.0])[kind] + rng.normal(0, 1.2, 240)
    return pd.DataFrame({"area": area, "duration": duration}), kind


@pytest.mark.parametrize("method", ["kmeans", "hierarchical", "hdbscan"])
def test_kinds_are_found_again_without_their_number(method: str):
    table, kind = three_kinds()
    matrix = feature_matrix(table, ["area", "duration"])
    assert matrix.names == ("log area", "duration")
    found = cluster_features(matrix.values, method)
    known = found >= 0
    assert adjusted_rand_score(found[known], kind[known]) > 0.95
    assert known.mean() > 0.9
    assert silhouette(matrix.values, found) > 0.6


def test_many_events_are_merged_by_a_sample(monkeypatch: pytest.MonkeyPatch):
    table, kind = three_kinds()
    values = feature_matrix(table, ["area", "duration"]).values
    monkeypatch.setattr(clusters, "WARD_MOST", 60)
    monkeypatch.setattr(clusters, "STABILITY_MOST", 120)
    with pytest.warns(AstrocastWarning, match="60 random events of 240"):
        found = cluster_features(values, "hierarchical", clusters=3)
    assert adjusted_rand_score(found, kind) > 0.95
    assert np.bincount(found).tolist() == sorted(np.bincount(kind), reverse=True)
    assert stability(values, clusters=3, resamples=3) > 0.9


def test_stability_tells_clusters_from_none():
    table, _ = three_kinds()
    values = feature_matrix(table, ["area", "duration"]).values
    assert stability(values, clusters=3, resamples=5) > 0.95
    noise = np.random.default_rng(1).normal(size=(240, 2))
    assert stability(noise, clusters=5, resamples=8) < 0.75


def test_events_without_a_feature_are_left_out_and_named():
    table, _ = three_kinds()
    table.loc[3, "area"] = np.nan
    table["same"] = 1.0
    with pytest.warns(AstrocastWarning, match="same is the same") as said:
        matrix = feature_matrix(table, ["area", "duration", "same"])
    assert said[0].filename == __file__  # the line of the caller
    assert matrix.left_out.tolist() == [3]
    assert np.median(matrix.values, axis=0) == pytest.approx([0, 0])


def traces(seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Fast rise with slow decay, and the reverse, of different lengths."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, 60)
    made = []
    for k in kind:
        t = np.linspace(0, 1, rng.integers(20, 60))
        shape = np.exp(-t / 0.3) * (1 - np.exp(-t / 0.05))
        made.append((shape[::-1] if k else shape) + rng.normal(0, 0.02, len(t)))
    return made, kind


@pytest.mark.parametrize("metric", ["euclidean", "correlation", "dtw"])
def test_shapes_of_traces_are_found_again(metric: str):
    made, kind = traces()
    labels = cluster_distances(trace_distances(made, metric), 2)
    assert adjusted_rand_score(labels, kind) > 0.9
    centres = barycentres(made, labels, metric)
    assert centres.shape == (2, 64)
    again, other = traces(5)
    nearest = assign_to_nearest(again, centres, metric)
    assert adjusted_rand_score(nearest, other) > 0.9


def test_too_many_traces_for_warping_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clusters, "DTW_MOST", 10)
    with pytest.raises(InvalidValueError, match="assign the others"):
        trace_distances(traces()[0], "dtw")


def test_embedding_keeps_kinds_apart():
    table, kind = three_kinds()
    values = feature_matrix(table, ["area", "duration"]).values
    for method in ("pca", "umap"):
        placed = embed(values, method)
        assert placed.shape == (240, 2)
        assert silhouette(placed, kind) > 0.5


def animals(effect: float) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    subject = np.repeat(np.arange(8), 30)
    group = np.where(subject < 4, "a", "b")
    # animals differ, groups do not: a classifier would learn the animal
    area = rng.normal(0, 1, 8)[subject] * 0.5 + effect * (group == "b")
    values = rng.normal(0, 0.5, 240) + area
    table = pd.DataFrame({"area": values, "noise": rng.normal(size=240)})
    return table, group, subject


def test_classification_separates_groups_only_where_they_differ():
    table, group, subject = animals(3.0)
    matrix = feature_matrix(table, ["area", "noise"])
    found = classify(matrix, group, subject, permutations=20)
    assert found.accuracy > 0.85
    assert found.importance["area"] > 0.2 > abs(found.importance["noise"]) + 0.1
    table, group, subject = animals(0.0)
    matrix = feature_matrix(table, ["area", "noise"])
    assert classify(matrix, group, subject, permutations=20).p > 0.05
    with pytest.raises(InvalidValueError, match="two groups of two animals"):
        classify(matrix, group, np.where(group == "a", 1, subject))
