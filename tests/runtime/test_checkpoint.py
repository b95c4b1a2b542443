"""Finished blocks on disk: read whole or in part, never when they are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from astrocast.runtime.checkpoint import BlockStore

#: long enough that a byte in the middle of the file is one of its values
ONE, TWO = np.arange(4000), np.ones(3)


def test_arrays_of_choice_are_read(tmp_path: Path) -> None:
    BlockStore(tmp_path).save("block", one=ONE, two=TWO)
    for store in (BlockStore(tmp_path), BlockStore(tmp_path)):
        # the first time the whole file is compared with its checksum
        store.load("block", "two")
        found = store.load("block", "two")
        assert found is not None
        assert list(found) == ["two"]
        np.testing.assert_array_equal(found["two"], TWO)


@pytest.mark.parametrize("seen_before", [False, True])
def test_a_damaged_block_is_not_read_in_part_either(
    tmp_path: Path, seen_before: bool
) -> None:
    store = BlockStore(tmp_path)
    store.save("block", one=ONE, two=TWO)
    if not seen_before:
        store = BlockStore(tmp_path)
    path = tmp_path / "block.npz"
    content = bytearray(path.read_bytes())
    place = bytes(content).index(ONE[2000:2010].tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert store.load("block", "one") is None
    # an intact part may be read beside a damaged one
    assert (store.load("block", "two") is None) == (not seen_before)


def test_a_missing_array_is_a_block_that_is_not_finished(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    store.save("block", one=ONE)
    assert store.load("block", "three") is None
    assert store.load("other", "one") is None
