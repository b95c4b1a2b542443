"""The repr of the public classes of denoising."""

from __future__ import annotations

import numpy as np

from astrocast.denoising import Network, SubFrameGenerator


def test_each_says_what_it_holds() -> None:
    movie = np.random.default_rng(0).random((20, 16, 16)).astype(np.float32)
    generator = SubFrameGenerator(
        movie, batch_size=4, input_size=(8, 8), pre_post_frame=2, gap_frames=0, seed=0
    )
    items = sum(len(x) for x, _ in (generator[i] for i in range(len(generator))))
    assert repr(generator) == (
        f"<SubFrameGenerator: 1 recording, {items} items of 8 x 8 pixels and 4 context"
        f" frames, {len(generator)} batches>"
    )
    network = Network(generator, n_stacks=2, kernel=2)
    weights = sum(int(np.prod(w.shape)) for w in network.model.weights)
    said = repr(network)
    assert said.startswith("<Network: 4 context frames, ")
    assert f"{weights:,} weights, training data>" in said
