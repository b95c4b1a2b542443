"""Union-find against the connected components of scipy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from astrocast.kernels.segmentation.union_find import find_root, unite_pairs


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_sets_are_connected_components_named_by_their_smallest(pairs):
    edges = np.array(pairs, np.int64).reshape(-1, 2)
    parent = np.arange(20)
    unite_pairs(parent, edges)
    roots = np.array([find_root(parent, i) for i in range(20)])
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (20, 20))
    _, labels = connected_components(graph, directed=False)
    smallest = [np.flatnonzero(labels == label)[0] for label in labels]
    np.testing.assert_array_equal(roots, smallest)
