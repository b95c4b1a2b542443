"""Directories of astroCAST 0.4 are read; a hostile file runs nothing, whatever it
tries.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from astrocast.analysis import Events
from astrocast.errors import FormatError
from astrocast.io.stores.legacy import read_legacy_events, read_pickled_array

HEADER = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (), }"


def as_npy(payload: bytes) -> bytes:
    """Return a NumPy file of one object with the given pickle."""
    return HEADER + b" " * (118 - (len(HEADER) - 10) - 1) + b"\n" + payload


def legacy_rows():
    mask = np.zeros((2, 2, 3), bool)
    mask[0, 0] = mask[1, :, 1] = True
    row = {
        "z0": 4,
        "z1": 6,
        "dz": 2,
        "x0": np.int64(1),
        "x1": 3,
        "dx": 2,
        "y0": 0,
        "y1": 3,
        "dy": 3,
        "v_area": 5,
        "v_fp_cx": np.float64(1.5),
        "v_signal_to_noise_ratio": None,
        "error": 0,
        "mask": mask.ravel().astype(np.int64),
        "footprint": mask.any(axis=0).ravel(),
        "trace": np.array([1.5, 2.5]),
        "noise_mask_trace": [0.5, 0.25],
        "contours": [np.ones((4, 3))],
    }
    return mask, {"7": row, "2": row | {"z0": 0}, "7_1": row | {"z0": 9}}


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "old.ch0.roi"
    path.mkdir()
    np.save(path / "events.npy", legacy_rows()[1])  # as the older package did
    return path


def test_an_old_directory_is_a_table_like_ours(directory):
    mask, _ = legacy_rows()
    events = Events(directory, custom_columns=None)
    assert events.events.index.tolist() == [2, 7, 8]
    row = events.events.loc[7]
    assert_array_equal(row["mask"], mask)
    assert_array_equal(row["footprint"], mask.any(axis=0))
    assert_array_equal(row["trace"], np.array([1.5, 2.5], np.float32))
    assert events.events["name"].tolist() == ["2", "7", "7_1"]
    assert events.events["part_of"].tolist() == [0, 0, 7]
    assert events.events["v_signal_to_noise_ratio"].isna().all()
    assert events.events["z0"].dtype == np.int64
    assert_array_equal(row["contours"][0], np.ones((4, 3)))
    assert Events.create_event_map(events.events, (12, 4, 4))[4, 1, 0] == 7


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.one_of(
            hnp.arrays(
                st.sampled_from([np.float32, np.int16, ">f8", np.bool_, "U3"]),
                hnp.array_shapes(max_dims=3, max_side=3),
            ),
            st.integers(),
            st.floats(allow_nan=False),
            st.none(),
            st.lists(st.integers(), max_size=3),
        ),
        max_size=4,
    ),
    st.sampled_from([2, 3, 4, 5]),
)
def test_what_an_honest_file_holds_is_read_as_numpy_reads_it(
    tmp_path_factory, held, protocol
):
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    array = np.empty((), object)
    array[()] = held
    path.write_bytes(as_npy(pickle.dumps(array, protocol)))
    expected = np.load(path, allow_pickle=True).item()
    found = read_pickled_array(path)
    assert list(found) == list(expected)
    for one, other in zip(found.values(), expected.values(), strict=True):
        assert type(one) is type(other)
        assert_array_equal(one, other)
        if isinstance(other, np.ndarray):
            assert one.dtype == other.dtype.newbyteorder("=")


def test_numbers_and_orders_of_numpy_survive(tmp_path):
    held = {
        "a": np.float32(1.5),
        "b": np.bool_(True),
        "c": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "d": b"xy",
    }
    np.save(tmp_path / "a.npy", held)
    found = read_pickled_array(tmp_path / "a.npy")
    assert found["a"] == 1.5
    assert found["a"].dtype == np.float32
    assert_array_equal(found["c"], held["c"])
    assert found["d"] == b"xy"


# --------------------------------------------------------------------------------------
# hostile files


class Runs:
    """An object whose pickle calls a function with an argument when it is loaded."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


MARK = "ran"
HOSTILE = {
    "os.system": lambda mark: Runs(os.system, f"touch {mark}"),
    "subprocess": lambda mark: Runs(subprocess.call, ["touch", str(mark)]),
    "eval": lambda mark: Runs(eval, f"open({str(mark)!r}, 'w')"),
    "exec": lambda mark: Runs(exec, f"open({str(mark)!r}, 'w')"),
    "Path.touch": lambda mark: Runs(Path.touch, mark),
    "np.load": lambda mark: Runs(np.save, str(mark), [1]),
    "getattr": lambda mark: Runs(getattr, "text", "upper"),
    "bytes of a pickle": lambda mark: Runs(
        pickle.loads, pickle.dumps(Runs(os.system, f"touch {mark}"))
    ),
}


@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize("inside", [False, True])
def test_a_hostile_file_runs_nothing(tmp_path, attack, inside):
    mark = tmp_path / MARK
    bad = HOSTILE[attack](mark)
    array = np.empty((), object)
    array[()] = {"1": {"trace": bad}} if inside else bad
    path = tmp_path / "events.npy"
    path.write_bytes(as_npy(pickle.dumps(array)))
    with pytest.raises(FormatError, match="neither an array nor a number"):
        read_pickled_array(path)
    assert not mark.exists()


def test_the_attack_would_have_worked(tmp_path):
    """The files above are no duds: the ordinary unpickler runs them."""
    mark = tmp_path / MARK
    np.load(
        io.BytesIO(as_npy(pickle.dumps(HOSTILE["eval"](mark)))), allow_pickle=True
    ).close()
    assert mark.exists()


def opcodes(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


FORGED = {
    # a structured dtype that would read memory as objects
    "structured dtype": opcodes(
        b"cnumpy\ndtype\n(X\x02\x00\x00\x00V8\x89\x88tR",
        b"(K\x03X\x01\x00\x00\x00|N(X\x01\x00\x00\x00at}K\x08K\x01K\x10tb",
    ),
    # more elements than data
    "too large": opcodes(
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85c_codecs\nencode\n(X\x01\x00\x00\x00bX\x06\x00\x00\x00latin1tRtR",
        b"(K\x01K\x7fK\x7f\x86cnumpy\ndtype\n(X\x02\x00\x00\x00f8\x89\x88tR\x89c_codecs\nencode\n(X\x01\x00\x00\x00aX\x06\x00\x00\x00latin1tRtb",
    ),
    # attributes of a function
    "changes a function": opcodes(b"c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb"),
    # another class where an array is made
    "other class": opcodes(
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\nK\x00\x85K\x00tR"
    ),
    "an extension code": opcodes(b"\x82\x01"),
    "a persistent id": opcodes(b"X\x01\x00\x00\x00aQ"),
    "text that ends": b"\x80\x02X\xff",
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_states_are_refused(tmp_path, name):
    path = tmp_path / "events.npy"
    path.write_bytes(as_npy(FORGED[name]))
    with pytest.raises(FormatError):
        read_pickled_array(path)


def test_lists_of_lists_do_not_unfold_without_end(tmp_path):
    held = ["x"]
    for _ in range(40):  # 2**40 items in a few hundred bytes
        held = [held, held]
    looped = []
    looped.append(looped)
    wide = np.empty(40, object)
    wide[:] = [list(range(50))] * 40
    for attack in (held, looped, [[wide] * 40] * 40):
        path = tmp_path / "events.npy"
        path.write_bytes(as_npy(pickle.dumps(attack, protocol=4)))
        with pytest.raises(FormatError, match="expand"):
            read_pickled_array(path)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(("depth", "times"), [(60, 1), (11, 20_000)])
def test_keys_of_tuples_do_not_hash_without_end(tmp_path, protocol, depth, times):
    nested = ()
    for _ in range(depth):
        nested = (nested, nested)
    # without STOP the tuple is on the stack: keep it as number 65535, empty the stack,
    # and set it as a key of a dictionary, again and again
    content = pickle.dumps(nested, protocol)[:-1] + b"r\xff\xff\0\0" + b"0}"
    content += b"j\xff\xff\0\0K\x01s" * times + b"."
    path = tmp_path / "events.npy"
    path.write_bytes(as_npy(content))
    begin = time.process_time()
    with pytest.raises(FormatError, match="nested tuples"):
        read_pickled_array(path)
    assert time.process_time() - begin < 5


def test_honest_keys_are_read(tmp_path):
    held = {1: [(3, 4)] * 50, ("b", (2, 3)): 2}
    path = tmp_path / "events.npy"
    for protocol in (0, 2, 4):
        path.write_bytes(as_npy(pickle.dumps(held, protocol)))
        assert read_pickled_array(path) == held


@given(st.binary(max_size=60))
def test_any_bytes_are_an_array_or_a_format_error(tmp_path_factory, payload):
    path = tmp_path_factory.mktemp("fuzz") / "a.npy"
    path.write_bytes(as_npy(payload))
    try:
        found = read_pickled_array(path)
    except FormatError:
        return
    plain = (np.ndarray, dict, list, tuple, set, frozenset, str, bytes, int, float)
    assert found is None or isinstance(found, (*plain, complex, np.generic))


@pytest.mark.parametrize("held", [[1, 2], {"1": 3}, "text"])
def test_other_content_is_no_event_table(tmp_path, held):
    np.save(tmp_path / "events.npy", np.array(held, object), allow_pickle=True)
    with pytest.raises(FormatError, match="dict"):
        read_legacy_events(tmp_path / "events.npy")


def test_plain_arrays_and_other_files(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    assert_array_equal(read_pickled_array(tmp_path / "a.npy"), [0, 1, 2])
    (tmp_path / "b.npy").write_bytes(b"no numpy")
    with pytest.raises(FormatError, match="cannot be read"):
        read_pickled_array(tmp_path / "b.npy")
