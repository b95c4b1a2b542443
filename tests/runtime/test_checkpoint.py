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


def test_the_latest_blocks_are_kept_in_memory_as_long_as_their_file_exists(
    tmp_path: Path,
) -> None:
    store = BlockStore(tmp_path, memory=3 * 4 * TWO.nbytes)
    for name in ("a", "b", "large"):
        store.save(name, one=TWO + len(name), **({"two": ONE} if name > "b" else {}))
    (tmp_path / "large.npz").write_bytes(b"damaged")
    assert store.load("large") is None  # too large to be kept
    for name in ("a", "b"):
        (tmp_path / f"{name}.npz").write_bytes(b"changed, but this process knows it")
        found = store.load(name, "one")
        assert found is not None
        np.testing.assert_array_equal(found["one"], TWO + 1)
        assert store.load(name, "three") is None
    (tmp_path / "a.npz").unlink()
    assert store.load("a") is None
    for name in "cdefghijklmnop":  # displaces the oldest
        store.save(name, one=TWO)
    assert store.load("b") is None
    assert BlockStore(tmp_path, memory=1000).load("p", "one") is not None
