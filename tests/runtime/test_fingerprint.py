"""The same result has the same fingerprint, and nothing else has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from astrocast.io import open_recording
from astrocast.runtime.fingerprint import (
    compare_results,
    describe_content,
    describe_result,
    fingerprint,
)
from astrocast.settings.detection import DetectionSettings

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=3), plain_values, max_size=4))
def test_the_order_of_keys_does_not_matter(values: dict) -> None:
    other = dict(reversed(list(values.items())))
    assert fingerprint(values) == fingerprint(other)


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_is_the_same_as_int_and_as_float(value: int) -> None:
    assert fingerprint(value) == fingerprint(float(value))
    assert fingerprint({"a": [value]}) == fingerprint({"a": (float(value),)})
    assert fingerprint(value) != fingerprint(value + 0.5 if abs(value) < 2**51 else 0.5)
    assert fingerprint(value) != fingerprint(str(value))


def test_equal_settings_have_equal_fingerprints_and_texts() -> None:
    given, default = DetectionSettings(smooth_sigma=2.0), DetectionSettings()
    assert given == default
    assert given.model_dump_json() == default.model_dump_json()
    assert fingerprint(given.model_dump()) == fingerprint(default.model_dump())
    other = DetectionSettings(smooth_sigma=2.5)
    assert fingerprint(other.model_dump()) != fingerprint(default.model_dump())


def test_the_order_of_a_set_does_not_matter() -> None:
    program = (
        "from astrocast.runtime.fingerprint import fingerprint as f;"
        "print(f(set('abcdef')))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in (1, 2)
    }
    assert len(found) == 1


@given(st.lists(st.text(max_size=3), min_size=1, max_size=4), st.data())
def test_parts_are_told_apart_however_they_are_divided(parts: list, data) -> None:
    joined = "".join(parts)
    if parts != [joined]:
        assert fingerprint(*parts) != fingerprint(joined)


def test_arrays_count_by_dtype_shape_and_values() -> None:
    base = np.arange(6, dtype=np.int32)
    others = [
        base.astype(np.int64),
        base.reshape(2, 3),
        np.roll(base, 1),
        base.astype(np.float32),
    ]
    found = {fingerprint(a) for a in [base, *others]}
    assert len(found) == 5
    assert fingerprint(base[::-1][::-1]) == fingerprint(base)


def test_one_changed_voxel_of_an_array_in_memory_is_another_input() -> None:
    movie = np.zeros((200, 4, 4), np.uint16)
    before = describe_content(open_recording(movie.copy()))
    movie[101, 2, 2] = 1
    assert describe_content(open_recording(movie)) != before


def test_a_changed_file_is_another_input_and_differences_are_named(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((50, 4, 4), np.uint16))
    before = describe_result({"window": 3}, open_recording(path), 1)
    assert describe_result({"window": 3}, open_recording(path), 1) == before
    np.save(path, np.ones((50, 4, 4), np.uint16))
    now = describe_result({"window": 4}, open_recording(path), 2)
    lines = compare_results(before, now)
    assert "window was 3, is 4" in lines
    assert "algorithm_version was 1, is 2" in lines
    assert any(line.startswith("content was") for line in lines)
