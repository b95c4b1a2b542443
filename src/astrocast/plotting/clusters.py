"""Heat map of event counts per cluster and group, clustered, with quality scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError, MissingExtraError

if TYPE_CHECKING:
    from seaborn.matrix import ClusterGrid


def cluster_counts(
    counts: pd.DataFrame,
    *,
    linkage: tuple[str, str] = ("average", "euclidean"),
    z_score: int | None = 0,
    center: float | None = 0,
    group_colors: tuple[str | Mapping[Any, Any] | None, str] = (None, "viridis"),
    cmap: str = "vlag",
) -> tuple[ClusterGrid, dict[str, float]]:
    """Draw counts as a heat map ordered by hierarchical clustering.

    Parameters
    ----------
    counts
        One row per cluster, one column per group (or the transpose); no NaN.
    linkage
        Method and metric, as in `scipy.cluster.hierarchy.linkage`.
    z_score
        Standardise rows (0), columns (1) or neither (None), as in `seaborn.clustermap`.
    center
        Value at the centre of the colour map.
    group_colors
        Colours of the columns (a dict group -> colour, ``"auto"``, or None for no
        colours), and the palette of ``"auto"``.
    cmap
        Colour map of the heat map.

    Returns
    -------
    (seaborn.matrix.ClusterGrid, dict)
        The figure and the scores of `clustering_scores`.
    """
    try:
        import seaborn as sns
    except ImportError as error:
        raise MissingExtraError(
            "seaborn", "analysis", "a clustered heat map"
        ) from error
    values = _check_counts(counts)
    table = pd.DataFrame(values, index=counts.index, columns=counts.columns)
    if z_score is not None:
        table = _standardise(table, z_score)
    grid = sns.clustermap(
        table,
        method=linkage[0],
        metric=linkage[1],
        center=center,
        cmap=cmap,
        col_colors=_choose_colours(counts.columns, *group_colors),
        row_cluster=len(table) > 1,
        col_cluster=table.shape[1] > 1,
        cbar_kws={"label": "events" if z_score is None else "events (z-score)"},
    )
    grid.ax_heatmap.set(
        xlabel=str(counts.columns.name or "group"),
        ylabel=str(counts.index.name or "cluster"),
    )
    return grid, clustering_scores(table.to_numpy(), *linkage)


def _check_counts(counts: pd.DataFrame) -> NDArray[np.float64]:
    values = counts.to_numpy(np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise InvalidValueError(
            f"counts of shape {values.shape} are empty or contain NaN or infinity; fill"
            " or drop them first"
        )
    return values


def _standardise(table: pd.DataFrame, axis: int) -> pd.DataFrame:
    """Return z-scores; a constant row or column becomes 0.

    NaN would be the correct value, but cannot be clustered.
    """
    if axis not in (0, 1):
        raise InvalidValueError(
            f"z_score is {axis!r}; choose 0 (rows), 1 (columns) or None"
        )
    values = table.to_numpy(np.float64)
    along = 1 - axis
    spread = (
        values.std(axis=along, ddof=1, keepdims=True)
        if values.shape[along] > 1
        else np.zeros(1)
    )
    scores = (values - values.mean(axis=along, keepdims=True)) / np.where(
        spread > 0, spread, 1.0
    )
    return pd.DataFrame(scores, index=table.index, columns=table.columns)


def _choose_colours(
    groups: pd.Index[Any], colours: str | Mapping[Any, Any] | None, palette: str
) -> Any:
    """Return the colour of each group, or None for no colours."""
    if colours is None:
        return None
    if isinstance(colours, str):
        if colours != "auto":
            raise InvalidValueError(
                f"group_cmap is {colours!r}; choose 'auto', a dict group -> colour, or"
                " None"
            )
        import seaborn as sns

        names = list(dict.fromkeys(groups))
        colours = dict(zip(names, sns.color_palette(palette, len(names)), strict=True))
    missing = [g for g in groups if g not in colours]
    if missing:
        raise InvalidValueError(
            f"group_cmap has no colour for {', '.join(map(str, missing))}"
        )
    return [colours[g] for g in groups]


def clustering_scores(
    values: NDArray[np.float64], method: str, metric: str
) -> dict[str, float]:
    """Return quality scores of the clustering of rows and of columns.

    ``cophenetic``: correlation between the distances in the tree and those in the data
    (Sokal & Rohlf 1962, https://doi.org/10.2307/1217208); near 1 if the tree represents
    the data well. ``clusters``: the number of flat clusters with the best
    ``silhouette`` (-1 to 1; Rousseeuw 1987,
    https://doi.org/10.1016/0377-0427(87)90125-7); for this number also
    ``calinski_harabasz`` (high is good) and ``davies_bouldin`` (low is good). Each
    score is given for rows and for columns; NaN if there are too few.
    """
    scores: dict[str, float] = {}
    for side, items in (("rows", values), ("columns", values.T)):
        scores |= {
            f"{side}_{name}": value
            for name, value in _score_items(items, method, metric).items()
        }
    return scores


def _score_items(
    items: NDArray[np.float64], method: str, metric: str
) -> dict[str, float]:
    """Return the scores of `clustering_scores` for items (item, feature)."""
    from scipy.cluster.hierarchy import cophenet, fcluster, linkage
    from scipy.spatial.distance import pdist

    try:
        from sklearn.metrics import (
            calinski_harabasz_score,
            davies_bouldin_score,
            silhouette_score,
        )
    except ImportError as error:
        raise MissingExtraError(
            "scikit-learn", "analysis", "scoring a clustering"
        ) from error

    out = dict.fromkeys(
        ("cophenetic", "clusters", "silhouette", "calinski_harabasz", "davies_bouldin"),
        float("nan"),
    )
    if len(items) < 3 or not (distances := pdist(items, metric)).any():
        return out
    tree = linkage(items, method, metric)
    if np.ptp(distances) > 0:
        out["cophenetic"] = float(cophenet(tree, distances)[0])
    for count in range(2, len(items)):
        flat = fcluster(tree, count, "maxclust")
        if not 2 <= len(set(flat)) < len(items):
            continue
        silhouette = float(silhouette_score(items, flat, metric=metric))
        if not out["silhouette"] >= silhouette:
            out["clusters"], out["silhouette"] = float(len(set(flat))), silhouette
            out["calinski_harabasz"] = float(calinski_harabasz_score(items, flat))
            out["davies_bouldin"] = float(davies_bouldin_score(items, flat))
    return out
