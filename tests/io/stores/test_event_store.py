from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.errors import (
    DatasetNotFoundError,
    FormatError,
    InvalidValueError,
    OutputExistsError,
    RecordingNotFoundError,
)
from astrocast.events.array_columns import MaskArray
from astrocast.events.schema import COLUMNS, Column, column
from astrocast.io.stores import event_map, event_store
from astrocast.io.stores.event_map import (
    create_event_map,
    open_event_map,
    read_time_map,
    write_time_map,
)
from astrocast.io.stores.event_store import read_meta, store_path, write_checksums
from astrocast.io.stores.event_table import count_events, read_events
from astrocast.io.stores.event_table_writer import EventTableWriter, pack, write_events
from astrocast.io.writing.files import Replacement


def table(n: int, seed: int = 0) -> pd.DataFrame:
    """A table of made-up events that has every column of the schema."""
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(index=pd.Index(range(1, n + 1), name="event_id"))
    values = {
        "int64": lambda: rng.integers(0, 99, n),
        "float64": lambda: rng.random(n),
        "str": lambda: list("abcdefg"[:n]),
    }
    for c in COLUMNS:
        if c.is_scalar:
            made[c.name] = pd.Series(
                values[c.dtype](),
                index=made.index,
                dtype=object if c.dtype == "str" else c.dtype,
            )
    made[["dz", "dx", "dy"]] = rng.integers(1, 6, (n, 3))
    masks = [
        rng.random(tuple(size)) < 0.6 for size in made[["dz", "dx", "dy"]].to_numpy()
    ]
    for name, items in {
        "trace": [rng.random(len(m)).astype(np.float32) for m in masks],
        "noise_mask_trace": [rng.random(len(m)).astype(np.float32) for m in masks],
        "mask": masks,
        "footprint": [m.any(axis=0) for m in masks],
    }.items():
        made[name] = pd.Series(items, index=made.index, dtype=object)
    return made


@pytest.mark.parametrize("n", [0, 1, 7])
def test_what_is_written_is_read(tmp_path: Path, n: int):
    before = table(n)
    write_events(tmp_path, before)
    after = read_events(tmp_path)
    assert list(after.columns) == [c.name for c in COLUMNS if c.name != "contours"]
    assert after.index.tolist() == before.index.tolist()
    for name in after.columns:
        for a, b in zip(after[name], before[name], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
    assert pd.read_csv(tmp_path / "events.csv").shape == (
        n,
        1 + sum(c.is_scalar for c in COLUMNS),
    )
    described = json.loads((tmp_path / "events.columns.json").read_text())
    assert [d["name"] for d in described] == [c.name for c in COLUMNS]
    assert all(d["description"].endswith(".") for d in described)
    with pytest.raises(OutputExistsError):
        write_events(tmp_path, before)


def test_the_schema_is_in_the_file_and_masks_are_bits(tmp_path: Path):
    write_events(tmp_path, table(3))
    schema = pq.read_schema(tmp_path / "events.parquet")
    assert schema.field("v_length").metadata[b"unit"] == b"frame"
    raw = pq.read_table(tmp_path / "events.parquet")
    sizes = [
        -(-int(z * x * y) // 8)
        for z, x, y in zip(
            *(raw[a].to_pylist() for a in ("dz", "dx", "dy")), strict=True
        )
    ]
    assert [len(b) for b in raw["mask"].to_pylist()] == sizes


def test_named_columns_alone_and_contours_from_masks(tmp_path: Path):
    write_events(tmp_path, table(3))
    found = read_events(tmp_path, ["contours", "v_area"])
    assert list(found.columns) == ["contours", "v_area"]
    assert all(line.shape[1] == 3 for lines in found["contours"] for line in lines)
    with pytest.raises(DatasetNotFoundError, match="v_size"):
        read_events(tmp_path, ["v_size"])
    with pytest.raises(RecordingNotFoundError, match="not an event store"):
        read_events(tmp_path / "nothing")
    with pytest.raises(DatasetNotFoundError, match="v_area"):
        column("v_size")


def test_more_columns_and_batches_in_any_order(tmp_path: Path):
    extra = Column(
        "p_value", "float64", "", "Chance of an event like this in noise.", "detector"
    )
    made = table(4)
    made["p_value"] = [0.1, 0.2, 0.3, 0.4]
    with EventTableWriter(tmp_path, [extra]) as writer:
        for part in ([2, 3], [0, 1]):
            rows = made.iloc[part]
            writer.write(
                rows.index.to_numpy(),
                {
                    c.name: (
                        rows[c.name].to_numpy() if c.is_scalar else list(rows[c.name])
                    )
                    for c in writer.columns
                },
            )
    assert read_events(tmp_path)["p_value"].tolist() == [0.1, 0.2, 0.3, 0.4]
    with (
        pytest.raises(InvalidValueError, match="missing"),
        EventTableWriter(tmp_path) as writer,
    ):
        writer.write(np.array([1]), {"name": ["1"]})
    assert len(read_events(tmp_path)) == 4  # a writer that fails leaves what was there
    assert not list(tmp_path.glob("*.partial"))


@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
)
def test_packed_masks_are_unpacked(seed, shape):
    mask = np.random.default_rng(seed).random(shape) < 0.5
    bits = pack(mask)
    column = MaskArray(bits, np.array([0, bits.size]), np.array([shape]))
    np.testing.assert_array_equal(column[0], mask)


@pytest.mark.parametrize("n", [0, 7])
def test_counting_events_reads_the_footer_only(tmp_path: Path, n: int):
    write_events(tmp_path, table(n))
    path = tmp_path / "events.parquet"
    content = bytearray(path.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little") + 8
    content[4:-footer] = b"\0" * (len(content) - 4 - footer)  # every row is destroyed
    path.write_bytes(content)
    assert count_events(tmp_path) == n
    path.write_bytes(content[:-2])
    with pytest.raises(FormatError, match="damaged"):
        count_events(tmp_path)
    with pytest.raises(RecordingNotFoundError, match="not an event store"):
        count_events(tmp_path / "nothing")


@pytest.mark.parametrize("suffix", [".tiff", ".h5", ".zarr", ".tdb"])
@pytest.mark.parametrize("frames", [1, 5])
def test_event_map_of_every_format(tmp_path: Path, suffix: str, frames: int):
    if suffix == ".tdb":
        pytest.importorskip("tiledb")
    labels = np.random.default_rng(0).integers(0, 3, (frames, 40, 150)).astype(np.int32)
    labels[-1, 5, 3:90] = 2**31 - 1  # more than 16 bits, and longer than a packet
    labels[0, 7:9] = 0
    with create_event_map(tmp_path, labels.shape, suffix) as writer:
        writer.write(0, labels[:2])
        if frames > 2:
            writer.write(2, labels[2:])
    with open_event_map(tmp_path) as found:
        assert found.shape == labels.shape
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found.to_array(), labels)


def test_an_event_map_that_is_not_finished_is_not_there(tmp_path: Path):
    def interrupted() -> None:
        with create_event_map(tmp_path, (5, 4, 4)) as writer:
            writer.write(0, np.zeros((2, 4, 4), np.int32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())
    with pytest.raises(RecordingNotFoundError, match=r"event_map\.tiff"):
        open_event_map(tmp_path)
    with pytest.raises(InvalidValueError, match=r"choose one of \.tiff"):
        create_event_map(tmp_path, (5, 4, 4), ".png")
    with (
        pytest.raises(InvalidValueError, match="in order"),
        create_event_map(tmp_path, (5, 4, 4)) as writer,
    ):
        writer.write(2, np.zeros((2, 4, 4), np.int32))


def test_time_map_in_blocks(tmp_path: Path, monkeypatch):
    z0, z1 = np.array([0, 3, 9]), np.array([2, 10, 10])
    write_time_map(tmp_path, 10, z0, z1)
    whole = np.array(read_time_map(tmp_path))
    assert whole.shape == (10, 4)
    assert not whole[:, 0].any()
    for event in range(3):
        assert np.flatnonzero(whole[:, event + 1]).tolist() == list(
            range(z0[event], z1[event])
        )
    with pytest.raises(RecordingNotFoundError):
        read_time_map(tmp_path / "nothing")
    with pytest.raises(RecordingNotFoundError):
        read_meta(tmp_path)


def test_the_store_is_beside_the_recording():
    assert store_path(Path("a/b.h5"), "df/ch1") == Path("a/b.ch1.roi")
    assert store_path(Path("a/b.tiff")) == Path("a/b.roi")
    assert event_map.EVENT_MAP_SUFFIXES[0] == ".tiff"


@pytest.mark.parametrize("content", ["[1, 2]", "3", "{", "[" * 100_000])
def test_odd_meta_is_one_clear_error(tmp_path: Path, content: str):
    (tmp_path / "meta.json").write_text(content)
    with pytest.raises(FormatError, match=r"meta\.json is not a valid JSON object"):
        read_meta(tmp_path)


@pytest.mark.parametrize(
    "change", ["negative box", "text for numbers", "flipped bytes"]
)
def test_a_tampered_table_is_one_clear_error(tmp_path: Path, change: str):
    store = tmp_path
    write_events(tmp_path, table(5))
    path = store / "events.parquet"
    if change == "flipped bytes":
        content = bytearray(path.read_bytes())
        content[4 : len(content) // 2] = b"\xa5" * (len(content) // 2 - 4)
        path.write_bytes(content)
    else:
        held = pq.read_table(path)
        place = held.schema.get_field_index("dz")
        values = [-3] * 5 if change == "negative box" else ["x"] * 5
        kind = (
            held.schema.field(place).type if change == "negative box" else pa.string()
        )
        held = held.set_column(place, pa.field("dz", kind), pa.array(values, kind))
        pq.write_table(held, path)
    with pytest.raises(FormatError, match=r"events\.parquet"):
        read_events(store)["mask"].to_list()


def test_a_flipped_byte_of_any_file_is_noticed_when_it_is_read(tmp_path: Path):
    write_events(tmp_path, table(7))
    with create_event_map(tmp_path, (5, 6, 6)) as writer:
        writer.write(0, np.arange(180, dtype=np.int32).reshape(5, 6, 6) // 20)
    write_time_map(tmp_path, 5, np.array([0, 1]), np.array([2, 4]))
    (tmp_path / "meta.json").write_text('{"a": 1}')
    write_checksums(tmp_path)

    def read_map() -> np.ndarray:
        with open_event_map(tmp_path) as labels:
            return labels.to_array()

    readers = {
        "event_map.tiff": read_map,
        "time_map.npy": lambda: np.array(read_time_map(tmp_path)),
        "meta.json": lambda: read_meta(tmp_path),
        "events.parquet": lambda: read_events(tmp_path),
    }
    rng = np.random.default_rng(1)
    for name, read in readers.items():
        path, whole = tmp_path / name, repr(read())
        content = path.read_bytes()
        noticed = 0
        for place in rng.integers(0, len(content), 25):
            damaged = bytearray(content)
            damaged[place] ^= 1 << rng.integers(8)
            path.write_bytes(damaged)
            try:
                assert repr(read()) == whole, f"other content of {name} in silence"
            except FormatError as error:
                assert name in str(error)  # noqa: PT017 - both outcomes are allowed
                noticed += 1
        path.write_bytes(content)
        # the table is compared page by page: some bytes of its footer say nothing
        assert noticed == 25 or name == "events.parquet"
        assert noticed >= 15


def test_stores_without_checksums_and_large_files_are_read(tmp_path: Path, monkeypatch):
    (tmp_path / "meta.json").write_text('{"a": 1}')
    write_checksums(tmp_path)
    (tmp_path / "meta.json").write_text('{"a": 2}')
    with pytest.raises(FormatError, match="checksum differs"):
        read_meta(tmp_path)
    monkeypatch.setattr(event_store, "MOST_BYTES", 3)
    assert read_meta(tmp_path) == {"a": 2}
    monkeypatch.undo()
    (tmp_path / "checksums.json").write_text("{")
    with pytest.raises(FormatError, match=r"checksums\.json is damaged"):
        read_meta(tmp_path)
    (tmp_path / "checksums.json").unlink()
    assert read_meta(tmp_path) == {"a": 2}


@pytest.mark.parametrize("n", [1, 2])
def test_a_table_whose_commit_fails_leaves_no_incomplete_file(
    tmp_path: Path, monkeypatch, n: int
):
    calls = []

    def fail(self: Replacement) -> None:
        calls.append(self)
        if len(calls) == n:
            raise OSError(28, "No space left on device")
        commit(self)

    commit = Replacement.commit
    monkeypatch.setattr(Replacement, "commit", fail)
    with pytest.raises(OSError, match="No space"):
        write_events(tmp_path, table(3))
    assert not list(tmp_path.glob("*.partial*"))
