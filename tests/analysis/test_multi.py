"""Many recordings: indices do not depend on which others are loaded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astrocast.analysis import Events, MultiEvents, Video
from astrocast.analysis.groups import pooled_frequency
from astrocast.errors import (
    DatasetNotFoundError,
    InvalidValueError,
    RecordingNotFoundError,
)


@pytest.fixture(scope="session")
def third_store(tmp_path_factory, store_maker, labels, movie):
    return store_maker(tmp_path_factory.mktemp("third"), labels, movie, "slice")


def test_indices_do_not_depend_on_order_or_company(store, another_store, third_store):
    both = MultiEvents([store, third_store]).events
    assert both.index.tolist() == [f"cell.ch0:{n}" for n in (1, 2, 3)] + [
        f"slice.ch0:{n}" for n in (1, 2, 3)
    ]
    turned = MultiEvents([third_store, store]).events
    for index in both.index:
        assert_array_equal(both.loc[index, "trace"], turned.loc[index, "trace"])
    assert MultiEvents([store]).events.index.tolist() == both.index[:3].tolist()
    # two recordings of one name differ by their folders
    twins = MultiEvents([store, another_store, third_store]).events
    assert set(both.index[3:]) <= set(twins.index)
    assert twins.index.is_unique
    with pytest.raises(InvalidValueError, match="twice"):
        MultiEvents([store, store])


def test_groups_subjects_and_times_per_recording(store, another_store):
    events = MultiEvents(
        [store, another_store],
        groups=["control", "drug"],
        subjects=[1, 2],
        data="infer",
        frame_to_time_function=[lambda t: t / 10, lambda t: 100 + t],
    )
    table = events.events
    assert table["group"].tolist() == ["control"] * 3 + ["drug"] * 2
    assert table["subject_id"].tolist() == [1] * 3 + [2] * 2
    assert_allclose(table["t0"], [*(table["z0"][:3] / 10), *(100 + table["z0"][3:])])
    assert events.frequency(20, "group", time="z0")["drug"].tolist() == [2 / 20, 0]
    assert events.get_counts_per_cluster("subject_id", "group").loc[2, "drug"] == 2
    with pytest.raises(InvalidValueError, match="3 entries for 2"):
        MultiEvents([store, another_store], groups=["a", "b", "c"])
    with pytest.raises(InvalidValueError, match="entries for 2"):
        MultiEvents([store, another_store], frame_to_time_function=[abs])


def test_each_recording_is_measured_on_its_own(store, another_store):
    both = MultiEvents([store, another_store], data="infer")
    alone = [Events(d, data="infer") for d in (store, another_store)]
    shuffled = both.events.iloc[[4, 0, 3, 1, 2]]
    both.events = shuffled
    both.extend(2)
    both.physiology("dF")
    for events in alone:
        events.extend(2)
        events.physiology("dF")
    for index, row in both.events.iterrows():
        source = alone[0] if index in both.of(both.names[0]).events.index else alone[1]
        expected = source.events.loc[row["event_id"]]
        assert_array_equal(row["trace"], expected["trace"])
        assert row["v_simultaneous"] == expected["v_simultaneous"]
        assert row["v_area_max"] == expected["v_area_max"]
    assert both.events.index.tolist() == shuffled.index.tolist()
    assert both.to_numpy().shape == (5, 40)


def test_one_recording_of_several(store, another_store, labels, movie):
    both = MultiEvents([store, another_store], data="infer")
    with pytest.raises(InvalidValueError, match="choose one of them"):
        both.event_map  # noqa: B018 - asked for its error
    for name in ("metadata", "source", "data"):
        with pytest.raises(InvalidValueError, match="choose one of them"):
            getattr(both, name)
    small = both.of(both.names[1])
    assert_array_equal(np.asarray(small.event_map), labels[:25])
    assert_array_equal(small.data.to_numpy(), movie[:25])
    assert [len(e) for e in both] == [3, 2]
    assert "2 recording" in repr(both)
    with pytest.raises(DatasetNotFoundError, match="cell"):
        both.of("nothing")


def test_a_list_of_directories_is_many_recordings(store, another_store):
    assert len(Events([store, another_store])) == 5
    with pytest.raises(InvalidValueError, match="event_dir is empty"):
        Events([])


def test_video_reads_and_slices(movie, store):
    video = Video(movie, z_slice=(3, 9))
    assert (video.shape, video.first_frame) == ((6, *movie.shape[1:]), 3)
    assert_array_equal(video.to_numpy(), movie[3:9])
    assert_array_equal(video.to_dask().compute(), movie[3:9])
    assert_allclose(video.mean(), movie[3:9].mean(axis=0), rtol=1e-6)
    assert Video(store.parent / "cell.h5").with_frames((0, 2)).shape[0] == 2
    with pytest.raises(InvalidValueError, match="frames"):
        Video(store.parent / "cell.h5", z_slice=(0, 99))


def test_missing_directories_and_recordings_say_where_was_looked(tmp_path, store):
    with pytest.raises(RecordingNotFoundError, match="does not exist"):
        Events(tmp_path / "nothing.roi")
    empty = tmp_path / "a.ch0.roi"
    empty.mkdir()
    (empty / "readme").write_text("")
    with pytest.raises(ValueError, match="it contains readme"):
        Events(empty)
    moved = tmp_path / "b.ch0.roi"
    moved.symlink_to(store, target_is_directory=True)
    with pytest.raises(RecordingNotFoundError, match=r"\.tiff"):
        Events(moved, data="infer")


def test_recordings_are_pooled_in_seconds_and_not_with_frames() -> None:
    """Two events a second at 2 Hz and at 10 Hz are two events a second each."""
    table = pd.DataFrame(
        {"z0": [0, 1, 2, 3, 0, 5, 10, 15], "file_name": ["slow"] * 4 + ["fast"] * 4}
    )
    lengths = {"slow": 4, "fast": 20}
    rates: dict[str, float | None] = {"slow": 2.0, "fast": 10.0}
    found = pooled_frequency(table, "file_name", 1.0, rates, lengths)
    np.testing.assert_array_equal(found["slow"], [2, 2])
    np.testing.assert_array_equal(found["fast"], [2, 2])
    with pytest.raises(InvalidValueError, match="slow is unknown"):
        pooled_frequency(table, None, 1.0, rates | {"slow": None}, lengths)
