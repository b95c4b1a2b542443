"""Clusters of events by features or traces, and the stability of the clusters."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import (
    AstrocastWarning,
    InvalidValueError,
    MissingExtraError,
    stack_level,
)
from astrocast.events.required import require_columns
from astrocast.kernels.event_features.trace_similarity import (
    condensed_distances,
    resample_traces,
)

Method = Literal["kmeans", "hierarchical", "hdbscan"]
Metric = Literal["euclidean", "correlation", "dtw"]
#: the logarithm is used for positive values with a maximum above this many medians
_SKEWED = 10.0
#: largest number of events for hierarchical clusters (Ward) of all of them
WARD_MOST = 5000
#: largest number of events from which the stability is computed
STABILITY_MOST = 5000
#: largest number of traces for dynamic time warping between all pairs
DTW_MOST = 2000


@dataclass(frozen=True)
class FeatureMatrix:
    """Scaled features of events.

    Parameters
    ----------
    values
        (events, features), each feature with median 0 and interquartile range 1.349
        (the standard deviation of normal values is then 1).
    names
        Names of the features; ``log <name>`` if the logarithm is used.
    index
        Index of these events in the event table.
    left_out
        Index of the events that are left out because a feature is missing.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]
    index: pd.Index
    left_out: pd.Index = field(default_factory=lambda: pd.Index([]))


def feature_matrix(table: pd.DataFrame, columns: Sequence[str]) -> FeatureMatrix:
    """Return the features of events, scaled robustly.

    Parameters
    ----------
    table
        Events.
    columns
        Columns of numbers. For positive values with a long tail (maximum above ten
        medians) the logarithm is used. Columns in which all values are equal are left
        out, with a warning. Events with a missing value are left out.

    Examples
    --------
    >>> table = pd.DataFrame({"area": [1.0, 2, 3, 100], "duration": [4.0, 5, 6, 7]})
    >>> feature_matrix(table, ["area", "duration"]).names
    ('log area', 'duration')
    """
    require_columns(table, columns)
    raw = table[list(columns)].astype(float)
    complete = np.isfinite(raw.to_numpy()).all(axis=1)
    raw = raw.loc[complete]
    if raw.empty:
        raise InvalidValueError(
            f"no event has a value for all features ({', '.join(map(str, columns))});"
            " leave out features with many missing values"
        )
    names, scaled = [], []
    for name, values in raw.items():
        v = values.to_numpy()
        skewed = v.min() > 0 and v.max() > _SKEWED * np.median(v)
        v = np.log(v) if skewed else v
        low, middle, high = np.percentile(v, [25, 50, 75])
        spread = (high - low) / 1.349 or v.std()
        if spread == 0:
            warnings.warn(
                f"{name} is the same for all events, so it is left out",
                AstrocastWarning,
                stacklevel=stack_level(),
            )
            continue
        names.append(f"log {name}" if skewed else str(name))
        scaled.append((v - middle) / spread)
    if not scaled:
        raise InvalidValueError(
            "all features are the same for all events; choose other features"
        )
    return FeatureMatrix(
        np.stack(scaled, axis=1), tuple(names), raw.index, table.index[~complete]
    )


def embed(
    values: NDArray[np.float64],
    method: Literal["pca", "umap"] = "pca",
    *,
    dimensions: int = 2,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return events in few dimensions, (events, dimensions).

    Parameters
    ----------
    values
        (events, features).
    method
        ``"pca"``: principal components. ``"umap"``: UMAP (McInnes et al. 2018,
        https://arxiv.org/abs/1802.03426): for figures only, because distances in it
        have no meaning.
    dimensions, seed
        Number of dimensions of the result, and seed of UMAP.
    """
    if method == "pca":
        from sklearn.decomposition import PCA

        parts = min(dimensions, *values.shape)
        return np.asarray(PCA(parts, random_state=seed).fit_transform(values))
    with warnings.catch_warnings():
        # umap warns that TensorFlow is missing, and that a seed limits it to one thread
        warnings.simplefilter("ignore")
        try:
            import umap
        except ImportError as error:
            raise MissingExtraError("umap-learn", "study", "UMAP") from error
        reducer = umap.UMAP(n_components=dimensions, random_state=seed, n_jobs=1)
        return np.asarray(reducer.fit_transform(values), float)


def trace_distances(
    traces: Sequence[NDArray[np.floating]],
    metric: Metric = "correlation",
    *,
    length: int = 64,
    window: float = 0.2,
) -> NDArray[np.float64]:
    """Return distances between the shapes of traces, (traces * (traces - 1) / 2,).

    Parameters
    ----------
    traces
        One array per event, of any length above 1.
    metric
        ``"euclidean"``, ``"correlation"`` (1 - r): traces are resampled to ``length``
        samples. ``"dtw"``: dynamic time warping (Sakoe & Chiba 1978,
        https://doi.org/10.1109/TASSP.1978.1163055). All traces are first scaled to
        minimum 0 and maximum 1.
    length
        Number of samples after resampling.
    window
        Largest warping, as a fraction of the length.

    Raises
    ------
    InvalidValueError
        More than 2,000 traces for dynamic time warping: use a sample, then assign the
        other traces with `assign_to_nearest`.
    """
    shapes = resample_traces(traces, length)
    if metric != "dtw":
        return condensed_distances(shapes, metric)
    if len(shapes) > DTW_MOST:
        raise InvalidValueError(
            f"dynamic time warping between {len(shapes)} traces needs"
            f" {len(shapes) ** 2 // 2} comparisons; use a sample of at most {DTW_MOST}"
            " traces and assign the others with assign_to_nearest"
        )
    dtw = _import_dtw()
    band = max(1, int(window * length))
    found = dtw.distance_matrix_fast(list(shapes), window=band, compact=True)
    return np.asarray(found, float)


def _import_dtw() -> Any:
    try:
        from dtaidistance import dtw
    except ImportError as error:
        purpose = "dynamic time warping"
        raise MissingExtraError("dtaidistance", "study", purpose) from error
    return dtw


def cluster_features(
    values: NDArray[np.float64],
    method: Method = "kmeans",
    *,
    clusters: int | None = None,
    seed: int = 0,
    least_size: int = 10,
) -> NDArray[np.int64]:
    """Group events by their features.

    Parameters
    ----------
    values
        (events, features).
    method
        ``"kmeans"``; ``"hierarchical"`` (Ward), with a warning on a random 5,000 events
        where there are more, the others assigned to the nearest centre; ``"hdbscan"``
        (Campello et al. 2013, https://doi.org/10.1007/978-3-642-37456-2_14), which
        determines the number of clusters; events can be in no cluster (-1).
    clusters
        Number of clusters; None: the number from 2 to 8 with the best silhouette.
    seed
        Seed of k-means, and of the random events.
    least_size
        Smallest number of events of a cluster, for ``"hdbscan"``.

    Returns
    -------
    ndarray
        Int64 (events,): clusters numbered from the largest.
    """
    from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans

    if method == "hdbscan":
        found = HDBSCAN(min_cluster_size=least_size, copy=True).fit_predict(values)
        return number_by_size(found)
    if method == "hierarchical" and len(values) > WARD_MOST:
        return _cluster_by_sample(values, clusters, seed)
    numbers = [clusters] if clusters else range(2, min(9, len(values)))
    tried = []
    for k in numbers:
        model = (
            KMeans(k, n_init=10, random_state=seed)
            if method == "kmeans"
            else AgglomerativeClustering(k)
        )
        labels = number_by_size(model.fit_predict(values))
        tried.append((silhouette(values, labels) if not clusters else 0.0, -k, labels))
    if not tried:
        raise InvalidValueError(
            f"{len(values)} events are too few for clusters; at least 3 are needed"
        )
    return max(tried, key=lambda t: t[:2])[2]


def _cluster_by_sample(
    values: NDArray[np.float64], clusters: int | None, seed: int
) -> NDArray[np.int64]:
    """Return clusters (Ward) of random events, and of the others the nearest ones."""
    from sklearn.metrics import pairwise_distances_argmin

    warnings.warn(
        f"hierarchical clusters are those of {WARD_MOST} random events of"
        f" {len(values)}; the others belong to the nearest. k-means takes all of them",
        AstrocastWarning,
        stacklevel=stack_level(),
    )
    chosen = np.random.default_rng(seed).choice(len(values), WARD_MOST, replace=False)
    sample = values[chosen]
    found = cluster_features(sample, "hierarchical", clusters=clusters)
    centres = [sample[found == k].mean(axis=0) for k in range(int(found.max()) + 1)]
    labels = pairwise_distances_argmin(values, np.array(centres))
    labels[chosen] = found
    return number_by_size(labels)


def cluster_distances(
    distances: NDArray[np.float64], clusters: int
) -> NDArray[np.int64]:
    """Return clusters from condensed distances (average linkage), int64 (events,)."""
    from sklearn.cluster import AgglomerativeClustering

    model = AgglomerativeClustering(clusters, metric="precomputed", linkage="average")
    return number_by_size(model.fit_predict(square(distances)))


def square(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return condensed distances as a symmetric matrix (events, events).

    >>> square(np.array([1.0, 2.0, 3.0]))[2].tolist()
    [2.0, 3.0, 0.0]
    """
    n = round((1 + np.sqrt(1 + 8 * len(distances))) / 2)
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n, 1)] = distances
    return np.asarray(matrix + matrix.T)


def number_by_size(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return labels numbered from the largest cluster; -1 stays -1.

    >>> number_by_size(np.array([5, 2, 2, -1])).tolist()
    [1, 0, 0, -1]
    """
    names, counts = np.unique(labels[labels >= 0], return_counts=True)
    rank = {name: i for i, name in enumerate(names[np.argsort(-counts, kind="stable")])}
    return np.array([rank.get(label, -1) for label in labels], np.int64)


def silhouette(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the mean silhouette of events in clusters (Rousseeuw 1987), -1 to 1.

    Computed from at most 5,000 random events; NaN for fewer than two clusters.
    """
    from sklearn.metrics import silhouette_score

    known = labels >= 0
    if len(np.unique(labels[known])) < 2 or known.sum() <= len(
        np.unique(labels[known])
    ):
        return float("nan")
    sample = 5000 if known.sum() > 5000 else None
    score = silhouette_score(
        values[known], labels[known], sample_size=sample, random_state=0
    )
    return float(score)


def stability(
    values: NDArray[np.float64],
    method: Method = "kmeans",
    *,
    clusters: int,
    resamples: int = 20,
    share: float = 0.8,
    seed: int = 0,
) -> float:
    """Return the agreement between clusterings of random subsets of the events.

    Parameters
    ----------
    values, method, clusters
        As for `cluster_features`.
    resamples
        Number of pairs of subsets.
    share
        Fraction of the events in each subset.
    seed
        Seed of the subsets.

    Notes
    -----
    Computed from a random 5,000 events where there are more.

    Returns
    -------
    float
        Mean adjusted Rand index over pairs of subsets, for the events in both: 1 if the
        clusters are always the same, 0 for chance (Hennig 2007,
        https://doi.org/10.1016/j.csda.2006.11.025). Clusters with less than about 0.75
        are not reliable.
    """
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng(seed)
    if len(values) > STABILITY_MOST:
        values = values[rng.choice(len(values), STABILITY_MOST, replace=False)]
    n, size = len(values), max(clusters + 1, int(share * len(values)))
    scores = []
    for _ in range(resamples):
        found = np.full((2, n), -1, np.int64)
        chosen = np.zeros((2, n), bool)
        for i in range(2):
            part = np.sort(rng.choice(n, size, replace=False))
            chosen[i, part] = True
            found[i, part] = cluster_features(
                values[part], method, clusters=clusters, seed=i
            )
        both = chosen.all(axis=0)
        scores.append(adjusted_rand_score(found[0, both], found[1, both]))
    return float(np.mean(scores))


def barycentres(
    traces: Sequence[NDArray[np.floating]],
    labels: NDArray[np.int64],
    metric: Metric = "correlation",
    *,
    length: int = 64,
) -> NDArray[np.float64]:
    """Return the typical trace of each cluster, (clusters, length), from 0 to 1.

    This is the mean of the resampled traces; for ``"dtw"`` the barycentre under warping
    (DBA, Petitjean et al. 2011, https://doi.org/10.1016/j.patcog.2010.09.013).
    """
    shapes = resample_traces(traces, length)
    centres = []
    for k in range(int(labels.max()) + 1):
        members = shapes[labels == k]
        centre = members.mean(axis=0)
        if metric == "dtw":
            _import_dtw()
            from dtaidistance import dtw_barycenter

            centre = np.asarray(
                dtw_barycenter.dba_loop(list(members), c=centre, max_it=10, use_c=True)
            )
        centres.append(centre)
    return np.array(centres).reshape(-1, length)


def assign_to_nearest(
    traces: Sequence[NDArray[np.floating]],
    centres: NDArray[np.float64],
    metric: Metric = "correlation",
) -> NDArray[np.int64]:
    """Return the cluster with the most similar typical trace, int64 (traces,)."""
    shapes = resample_traces(traces, centres.shape[1])
    if metric == "dtw":
        dtw = _import_dtw()
        band = max(1, int(0.2 * centres.shape[1]))
        found = [
            [dtw.distance_fast(s, c, window=band) for c in centres] for s in shapes
        ]
        return np.argmin(found, axis=1).astype(np.int64)
    joined = square(condensed_distances(np.concatenate([centres, shapes]), metric))
    return joined[len(centres) :, : len(centres)].argmin(axis=1).astype(np.int64)
