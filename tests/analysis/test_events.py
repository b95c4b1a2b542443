"""Every method and parameter of `Events`, for its effect on three events whose numbers
are known.
"""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import label

from astrocast.analysis import Events, Video
from astrocast.errors import (
    AstrocastWarning,
    DatasetNotFoundError,
    InvalidTypeError,
    InvalidValueError,
)
from astrocast.events.array_columns import as_traces


@pytest.fixture
def events(store):
    return Events(store)


# --------------------------------------------------------------------------------------
# loading


def test_the_table_holds_what_detection_stored(events, labels, movie):
    assert events.events.index.tolist() == [1, 2, 3]
    for n, event in events.events.iterrows():
        box = (
            slice(event.z0, event.z1),
            slice(event.x0, event.x1),
            slice(event.y0, event.y1),
        )
        assert_array_equal(event["mask"], labels[box] == n)
        assert_array_equal(event["footprint"], (labels[box] == n).any(axis=0))
        assert len(event["trace"]) == event["dz"]


@pytest.mark.parametrize("lazy", [True, False])
def test_the_event_map_is_lazy_or_in_memory(store, labels, lazy):
    events = Events(store, lazy=lazy)
    assert isinstance(events.event_map, np.ndarray) is not lazy
    assert_array_equal(np.asarray(events.event_map), labels)
    array, shape, dtype = Events.get_event_map(store, lazy=lazy)
    assert (shape, dtype) == (labels.shape, labels.dtype)
    assert_array_equal(np.asarray(array), labels)
    assert_array_equal(
        np.asarray(Events.get_event_map(store, (3, 12), lazy)[0]), labels[3:12]
    )


def test_a_directory_without_map_gives_three_none(tmp_path):
    assert Events.get_event_map(tmp_path) == (None, None, None)


def test_data_is_a_path_an_array_a_dask_array_or_inferred(store, movie):
    import dask.array as da

    path = store.parent / "cell.h5"
    for data, loc in [
        (path, "df/ch0"),
        (str(path), "df"),
        ("infer", None),
        (movie, None),
        (da.from_array(movie), None),
    ]:
        video = Events(store, data=data, loc=loc).data
        assert_array_equal(video.to_numpy(), movie)
        assert_array_equal(video.to_dask()[4:6].compute(), movie[4:6])
    assert Events(store, data="infer").metadata.frame_rate == 10.0
    assert Events(store).metadata.pixel_size == (0.5, 0.5)  # as detection recorded it
    assert Events(store).data is None


def test_z_slice_cuts_map_table_and_recording_alike(store, labels, movie):
    events = Events(store, data="infer", z_slice=(4, 15))
    # event 2 reaches to frame 15 inclusive, event 3 comes later
    assert events.events.index.tolist() == [1]
    assert events.events.loc[1, "z0"] == 5
    assert_array_equal(np.asarray(events.event_map), labels[4:15])
    assert_array_equal(events.data.to_numpy(), movie[4:15])
    matrix = events.to_numpy()
    assert matrix.shape == (1, 11)
    assert_array_equal(np.flatnonzero(~np.isnan(matrix[0])), np.arange(1, 11))
    redrawn = Events.create_event_map(
        events.events, (11, *labels.shape[1:]), first_frame=4
    )
    assert_array_equal(redrawn, np.where(labels[4:15] == 1, 1, 0))
    with pytest.raises(InvalidValueError, match="z_slice"):
        Events(store, z_slice=(9, 3))


def test_group_subject_and_prefix(store):
    table = Events(store, group="drug", subject_id=4, index_prefix="m4_").events
    assert table.index.tolist() == ["m4_1", "m4_2", "m4_3"]
    assert table["group"].cat.categories.tolist() == ["drug"]
    assert table["subject_id"].tolist() == [4, 4, 4]
    assert table["file_name"].tolist() == ["cell.ch0"] * 3
    assert table["event_id"].tolist() == [1, 2, 3]


def test_custom_columns_by_name_and_by_function(store):
    table = Events(
        store,
        custom_columns=["v_area_footprint", {"twice": lambda t: 2 * t["dz"]}, "cx"],
    ).events
    assert table["v_area_footprint"].tolist() == [16, 33, 1]
    assert table["twice"].tolist() == [20, 12, 2]
    assert_allclose(table["cx"], table["v_fp_cx"])
    assert "cy" not in table
    default = Events(store).events
    assert_allclose(default["v_area_norm"], default["v_area"] / default["dz"])
    assert_allclose(default["cy"], default["v_fp_cy"])
    with pytest.raises(InvalidValueError, match="v_area_norm"):
        Events(store, custom_columns=["nonsense"])
    with pytest.raises(InvalidTypeError, match="function"):
        Events(store, custom_columns={"a": 3})


@pytest.mark.parametrize(
    "times",
    [
        {"frame_to_time_mapping": {t: 100 + 0.5 * t for t in range(0, 40, 3)}},
        {"frame_to_time_mapping": [100 + 0.5 * t for t in range(41)]},
        {"frame_to_time_function": lambda t: 100 + 0.5 * t},
        {"frame_to_time_function": [lambda t: 100 + 0.5 * t]},
    ],
)
def test_frames_become_times(store, times):
    table = Events(store, **times).events
    assert_allclose(table["t0"], 100 + 0.5 * table["z0"])
    assert_allclose(table["t1"], 100 + 0.5 * table["z1"])
    assert_allclose(table["dt"], 0.5 * table["dz"])


def test_bad_times_are_refused(store):
    with pytest.raises(InvalidValueError, match="decreasing"):
        Events(store, frame_to_time_mapping=[3, 2, 1])
    with pytest.raises(InvalidTypeError, match="function"):
        Events(store, frame_to_time_function=3)


def test_contours_are_a_column_on_request(store, labels):
    from astrocast.kernels.masks.contours import mask_contours

    table = Events(store, custom_columns=["contours", "cx"]).events
    assert "contours" not in Events(store).events
    for number, outlines in zip(table.index, table["contours"], strict=True):
        expected = mask_contours(labels == number)
        assert len(outlines) == len(expected)
        for one, other in zip(outlines, expected, strict=True):
            assert_array_equal(one, other)


def test_data_may_be_a_video(store, movie):
    video = Video(store.parent / "cell.h5", "df/ch0")
    events = Events(store, data=video)
    assert events.data is video
    assert_array_equal(
        Events(store, data=video, z_slice=(4, 20)).data.to_numpy(), movie[4:20]
    )
    with pytest.raises(InvalidValueError, match="z_slice"):
        Events(store, data=Video(movie, z_slice=(4, 20)))


def test_rows_by_position(events):
    assert events[0]["z0"] == events.events.iloc[0]["z0"]
    assert events[-1].name == 3
    assert events[1:].index.tolist() == [2, 3]
    assert [event.name for event in events] == [1, 2, 3]
    with pytest.raises(IndexError):
        events[3]


def test_the_content_hash_is_equal_for_equal_content(store):
    one, other = Events(store), Events(store, lazy=False)
    assert one.content_hash == other.content_hash == one.copy().content_hash
    assert hash(one) == hash(other)
    assert len({one.content_hash, Events(store, seed=2).content_hash}) == 2
    other.events["trace"].array[0][2] += 1
    assert one.content_hash != other.content_hash
    assert hash(one) != hash(other)
    one.filter({"dz": (7, None)})
    assert one.content_hash != Events(store).content_hash


# --------------------------------------------------------------------------------------
# copy


def test_a_copy_is_independent(store):
    events = Events(store, lazy=False)
    events.events["note"] = [[1], [2], [3]]
    other = events.copy()
    other.events["trace"].array[0][:] = -1
    other.events.loc[1, "z0"] = 99
    other.events["note"].iloc[0].append(5)
    other.event_map[:] = 0
    other.filter({"dz": (7, None)})
    assert len(events) == 3
    assert events.events.loc[1, "z0"] == 5
    assert events.events["trace"].array[0].min() > 0
    assert events.events["note"].iloc[0] == [1]
    assert events.event_map.max() == 3


# --------------------------------------------------------------------------------------
# filter


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"dz": (6, 10)}, [1, 2]),
        ({"dz": (None, 6)}, [2, 3]),
        ({"dz": (7, None)}, [1]),
        ({"name": ("1", "3")}, [1, 3]),
        ({"file_name": ["cell.ch0"]}, [1, 2, 3]),
        ({"file_name": "other"}, []),
        ({"dz": (2, None), "x0": (0, 5)}, [1]),
        ({"flag": [True]}, [1, 3]),
        ({"maybe": (0, 5)}, [1]),
        ({}, [1, 2, 3]),
    ],
)
def test_filter_by_ranges_and_categories(events, filters, kept):
    events.events = events.events.assign(
        flag=[True, False, True], maybe=[1.0, np.nan, 9.0]
    )
    assert events.filter(filters, inplace=False).index.tolist() == kept
    assert len(events) == 3
    assert events.filter(filters) is None
    assert events.events.index.tolist() == kept


def test_filter_says_what_is_wrong(events):
    with pytest.raises(DatasetNotFoundError, match="dz"):
        events.filter({"length": (1, 2)})
    with pytest.raises(ValueError, match="trace"):
        events.filter({"trace": (1, 2)})
    with pytest.raises(InvalidValueError, match="low, high"):
        events.filter({"dz": 3})


# --------------------------------------------------------------------------------------
# normalize


def test_normalize_in_the_order_of_the_keys(events):
    before = [t.copy() for t in events.events["trace"]]
    instructions = {1: ["divide", {"mode": "max"}], 0: ["subtract", {"mode": "min"}]}
    # the event of one frame becomes 0 / 0
    with pytest.warns(AstrocastWarning, match="in 1 place"):
        found = events.normalize(instructions, inplace=False)
    for trace, old, new in zip(before, found, events.events["trace"], strict=True):
        assert_array_equal(new, trace)  # not in place
        assert_allclose(old, (trace - trace.min()) / (np.ptp(trace) or 1), rtol=1e-5)
    with pytest.warns(AstrocastWarning):
        assert events.normalize(instructions) is None
    assert events.events["trace"].iloc[0].max() == 1


def test_normalize_over_the_population_and_over_frames(events):
    whole = np.concatenate(list(events.events["trace"]))
    found = events.normalize(
        {0: ["subtract", {"mode": "mean", "population_wide": True}]}, inplace=False
    )
    assert_allclose(
        np.concatenate(list(found)), whole - whole.mean(dtype=np.float64), atol=1e-5
    )
    first = np.mean([t[0] for t in events.events["trace"]])
    found = events.normalize(
        {0: ["subtract", {"mode": "mean", "rows": False}]}, inplace=False
    )
    assert_allclose(found[0][0], events.events["trace"].iloc[0][0] - first, rtol=1e-5)


def _bridged(trace):
    """The trace with its NaN on a line between the neighbours."""
    frames, known = np.arange(len(trace)), ~np.isnan(trace)
    return np.interp(frames, frames[known], trace[known])


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("diff", lambda t: np.diff(t, prepend=t[0])),
        ("impute_nan", _bridged),
        (["impute_nan", {"fixed_value": 0}], lambda t: np.where(np.isnan(t), 0, t)),
        ("mean_std", lambda t: (t - np.nanmean(t)) / np.nanstd(t)),
        ("min_max", lambda t: (t - np.nanmin(t)) / (np.nanmax(t) - np.nanmin(t))),
        ("divide", lambda t: t / np.nanmax(t)),
        ("subtract", lambda t: t - np.nanmin(t)),
    ],
    ids=["diff", "impute", "fixed", "mean_std", "min_max", "divide", "subtract"],
)
def test_names_alone_are_instructions(events, step, expected):
    events.events = events.events[events.events["dz"] > 1]
    events.events["trace"].array[0][3] = np.nan
    before = [t.astype(np.float64) for t in events.events["trace"]]
    after = events.normalize({0: step}, inplace=False)
    for trace, result in zip(before, after, strict=True):
        assert_allclose(result, expected(trace), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("instructions", "error"),
    [
        ({0: "nonsense"}, "min_max"),
        ({0: ["subtract", {"mode": "no"}]}, "median"),
        ({0: 3}, "name"),
        ({0: ["diff", 3]}, "name"),
    ],
)
def test_unknown_instructions_list_the_choices(events, instructions, error):
    with pytest.raises(InvalidValueError, match=error):
        events.normalize(instructions)
    with pytest.raises(InvalidTypeError):
        events.normalize(["diff"])


def test_traces_as_plain_lists_work_too(events):
    events.events["trace"] = [[1, 3], [2, 2, 5], [4]]
    assert_array_equal(events.normalize({0: "diff"}, inplace=False)[1], [0, 0, 3])
    assert events.to_numpy(ragged=True)[0].tolist() == [1, 3]


# --------------------------------------------------------------------------------------
# lengths and shapes


@pytest.mark.parametrize(
    ("options", "lengths"),
    [
        ({"min_length": 8}, [10, 8, 8]),
        ({"max_length": 4}, [4, 4, 1]),
        ({"min_length": 5, "max_length": 5}, [5] * 3),
        ({}, [10, 6, 1]),
    ],
)
def test_enforce_length_pads_and_cuts_at_the_end(events, options, lengths):
    old = list(events.events["trace"])
    found = events.enforce_length(**options)
    assert found["trace"].map(len).tolist() == found["dz"].tolist() == lengths
    for before, after in zip(old, found["trace"], strict=True):
        common = min(len(before), len(after))
        assert_array_equal(after[:common], before[:common])
        assert_array_equal(after[common:], before[-1])
    assert events.events["dz"].tolist() == [10, 6, 1]
    assert found[["z0", "z1"]].equals(events.events[["z0", "z1"]])


def test_enforce_length_in_place_by_other_modes_and_alignment(events):
    last = events.events["trace"].iloc[1].copy()
    found = events.enforce_length(
        min_length=10, pad_mode="constant", inplace=True, align="end"
    )
    assert_array_equal(
        events.events["trace"].iloc[1], np.concatenate([np.zeros(4, np.float32), last])
    )
    assert found["z0_trace"].tolist() == [5, 6, 21]
    matrix = events.to_numpy()
    # the event stays at its place in the recording
    assert_array_equal(matrix[1, 10:16], last)
    with pytest.raises(InvalidValueError, match="min_length 5 is above"):
        events.enforce_length(min_length=5, max_length=2)
    with pytest.raises(InvalidValueError, match="symmetric"):
        events.enforce_length(min_length=5, pad_mode="empty")


def test_to_numpy_places_every_trace_in_the_recording(events):
    matrix = events.to_numpy()
    assert matrix.shape == (3, 40)
    for row, (_, event) in zip(matrix, events.events.iterrows(), strict=True):
        assert_array_equal(row[event.z0 : event.z1], event["trace"])
        assert np.isnan(np.delete(row, np.arange(event.z0, event.z1))).all()
    masked = events.to_numpy(empty_as_nan=False)
    assert isinstance(masked, np.ma.MaskedArray)
    assert_array_equal(masked.mask, np.isnan(matrix))
    assert not np.isnan(masked.data).any()
    ragged = events.to_numpy(ragged=True)
    assert [len(t) for t in ragged] == [10, 6, 1]
    assert len(events.to_numpy(events.events.iloc[:1])) == 1


def test_to_tsfresh_is_long_and_without_nan(events):
    events.events["trace"].array[0][2] = np.nan
    long = events.to_tsfresh(show_progress=True)
    assert list(long) == ["id", "time", "dim_0"]
    assert long["id"].tolist() == [1] * 10 + [2] * 6 + [3]
    assert long["time"].tolist() == [*range(10), *range(6), 0]
    assert long["dim_0"][2] == 0


# tsfresh and what it imports warn of their own future
@pytest.mark.filterwarnings("ignore")
def test_tsfresh_extracts_features_of_it(events):
    tsfresh = pytest.importorskip(
        "tsfresh", reason="the extra tsfresh is not installed"
    )
    features = tsfresh.extract_features(
        events.to_tsfresh(),
        column_id="id",
        column_sort="time",
        default_fc_parameters={"maximum": None, "length": None},
        n_jobs=0,
        disable_progressbar=True,
    )
    assert features.index.tolist() == [1, 2, 3]
    assert features["dim_0__length"].tolist() == [10, 6, 1]
    assert_allclose(
        features["dim_0__maximum"], [t.max() for t in events.events["trace"]]
    )


# --------------------------------------------------------------------------------------
# clusters


def test_clustering_by_a_lookup_table(events):
    table = events.create_lookup_table([5, 6], default_cluster=-9)
    assert table[1] == 5
    assert table[3] == -9
    assert pickle.loads(pickle.dumps(table))["anything"] == -9  # noqa: S301 - our own bytes
    events.add_clustering(table)
    assert events.events["cluster"].tolist() == [5, 6, -9]
    with pytest.warns(AstrocastWarning, match="replaced"):
        events.add_clustering({1: "a", 2: "b", 3: "a"})
    events.add_clustering({1: 0, 2: 1}, column_name="mine")
    assert events.events["mine"].isna().tolist() == [False, False, True]
    with pytest.raises(InvalidValueError, match="4 labels"):
        events.create_lookup_table([1, 2, 3, 4])


def test_counts_per_cluster_and_group(events):
    events.events = events.events.assign(cluster=[0, 0, 1], condition=["a", "b", "b"])
    counts = events.get_counts_per_cluster("cluster")
    assert counts["counts"].to_dict() == {0: 2, 1: 1}
    counts = events.get_counts_per_cluster("cluster", "condition")
    assert counts.to_dict() == {"a": {0: 1, 1: 0}, "b": {0: 1, 1: 1}}
    with pytest.raises(DatasetNotFoundError, match="cluster"):
        events.get_counts_per_cluster("kind")


# --------------------------------------------------------------------------------------
# the map


def test_map_to_table_to_map_is_identity(events, labels, tmp_path):
    assert_array_equal(Events.create_event_map(events.events, labels.shape), labels)
    narrow = Events.create_event_map(
        events.events, labels.shape, dtype=np.uint8, show_progress=False
    )
    assert narrow.dtype == np.uint8
    for name in ("map.tiff", "map.h5"):
        saved = Events.create_event_map(
            events.events, labels.shape, np.int32, save_path=tmp_path / name
        )
        assert_array_equal(saved.compute(), labels)
    with pytest.raises(ValueError, match="mask"):
        Events.create_event_map(events.events.drop(columns="mask"), labels.shape)
    with pytest.raises(InvalidValueError, match="choose a larger dtype"):
        Events.create_event_map(
            events.events.assign(event_id=[1, 2, 300]), labels.shape, np.uint8
        )


@given(seed=st.integers(0, 2**16))
@settings(max_examples=8)
def test_any_map_survives_the_table(tabulate, seed):
    volume = label(np.random.default_rng(seed).random((5, 6, 7)) < 0.2)[0].astype(
        np.int32
    )
    table = tabulate(volume, np.zeros(volume.shape, np.float32))
    assert_array_equal(Events.create_event_map(table, volume.shape, np.int32), volume)
    again = tabulate(
        Events.create_event_map(table, volume.shape), np.zeros(volume.shape, np.float32)
    )
    for one, other in zip(table["mask"], again["mask"], strict=True):
        assert_array_equal(one, other)
    numbers = ["z0", "z1", "x0", "x1", "y0", "y1", "v_area"]
    pd.testing.assert_frame_equal(table[numbers], again[numbers])


# --------------------------------------------------------------------------------------
# beyond


@pytest.mark.parametrize("by", ["footprint", "edge"])
@pytest.mark.parametrize("frames", [3, (2, 0), None])
def test_traces_are_continued_by_the_pixels_asked_for(store, movie, labels, frames, by):
    events = Events(store, data="infer")
    own = [t.copy() for t in events.events["trace"]]
    found = events.extend(frames, by, inplace=False)
    before, after = (
        (40, 40)
        if frames is None
        else (frames, frames)
        if isinstance(frames, int)
        else frames
    )
    for n, row in found.iterrows():
        start, stop = max(0, row.z0 - before), min(40, row.z1 + after)
        assert row["z0_trace"] == start
        assert len(row["trace"]) == stop - start
        assert_array_equal(row["trace"][row.z0 - start : row.z1 - start], own[n - 1])
        masks = labels == n
        left = masks[row.z0] if by == "edge" else masks.any(axis=0)
        right = masks[row.z1 - 1] if by == "edge" else masks.any(axis=0)
        for t in range(start, stop):
            if not row.z0 <= t < row.z1:
                expected = movie[t][left if t < row.z0 else right].mean()
                assert_allclose(row["trace"][t - start], expected, rtol=1e-5)
    assert events.extend(frames, by) is None
    matrix = events.to_numpy()
    assert_array_equal(matrix[0][5:15], own[0])


def test_extension_needs_the_right_recording(store, movie):
    with pytest.raises(RuntimeError, match="data"):
        Events(store).extend(3)
    with pytest.raises(InvalidValueError, match="events extend to frame"):
        Events(store, data=movie[:20]).extend(3)
    with pytest.raises(InvalidValueError, match="0 or more"):
        Events(store, data=movie).extend(-1)


def test_noise_is_that_of_the_surroundings_without_other_events(store, movie, labels):
    noise = Events(store, data="infer").noise_traces(gap=1, width=2)
    footprint = (labels == 1).any(axis=0)
    rows, columns = np.mgrid[:16, :20]
    away = np.min(
        [
            np.maximum(abs(rows - x), abs(columns - y))
            for x, y in np.argwhere(footprint)
        ],
        axis=0,
    )
    ring = (away > 1) & (away <= 3)
    expected = [movie[t][ring & (labels[t] == 0)].mean() for t in range(5, 15)]
    assert_allclose(noise[0], expected, rtol=1e-5)


def test_average_frequency_summary_and_trials(store):
    events = Events(store, frame_to_time_function=lambda t: t / 10)
    events.events["group"] = pd.Categorical(["a", "b", "b"])
    average = events.average_traces("group", align="peak")
    assert set(average["group"]) == {"a", "b"}
    peak = average[(average["group"] == "b") & (average["frame"] == 0)]
    assert peak["n"].item() == 2
    assert_allclose(
        peak["mean"],
        np.mean([t.max() for t in events.events["trace"].iloc[1:]]),
        rtol=1e-6,
    )

    rate = events.frequency(10, "group", time="z0")
    assert rate.index.tolist() == [0, 10, 20, 30]
    assert_allclose(rate["a"], [0.1, 0, 0, 0])
    assert_allclose(rate["b"], [0, 0.1, 0, 0.1])
    # by t0, per second
    assert_allclose(events.frequency(1.0)["all"].to_numpy(), [1, 1, 0, 1])

    summary = events.summary("group", ["dz"])
    assert summary.loc[("b", "dz"), "mean"] == 3.5
    assert summary.loc[("a", "dz"), "n"] == 1

    around = events.trials([0.5, 3.0], before=0.5, after=0.6, bin_width=0.1)
    assert around.shape == (2, 11)
    # at 0 and 0.5 s after
    assert around.loc[0.5].to_numpy().nonzero()[0].tolist() == [5, 10]
    assert around.loc[3.0].sum() == 1
    with pytest.raises(InvalidValueError, match="bin_width"):
        events.trials([1], 1, 1, 0)


def test_physiology_in_physical_units(store, movie):
    events = Events(store, data="infer")
    found = events.physiology("dF", landmarks={"soma": (3.5, 14.5)})
    one = found.loc[1]
    assert_allclose(one["v_peak_time"], 0.95, atol=0.051)
    assert_allclose(one["v_area_max"], 16 * 0.25)
    assert_allclose(one["v_distance_soma"], 10 * 0.5)
    assert one["v_direction_soma"] == 0
    two = found.loc[2]
    # two pixels a frame, 0.5 µm, 10 Hz
    assert_allclose(two["v_onset_speed"], 2 * 0.5 * 10, rtol=0.05)
    assert_allclose(two["v_onset_direction"], 0, atol=1e-9)
    assert_allclose(two["v_centroid_displacement"], 2.5)
    assert found["v_same_place"].tolist() == [1, 0, 1]
    assert found["v_simultaneous"].tolist() == [1, 1, 0]
    assert set(found) <= set(events.events)
    plain = events.physiology("F", pixel_size=1, frame_rate=1, inplace=False)
    assert_allclose(plain.loc[1, "v_area_max"], 16)
    assert_allclose(
        plain.loc[1, "v_dff_max"],
        plain.loc[1, "v_df_max"] / as_traces(events.events["trace"])[0].min(),
        rtol=1e-5,
    )


def test_physiology_with_context_and_background(store, movie):
    events = Events(store, data=movie)
    alone = events.physiology("dF", inplace=False)
    with_context = events.physiology(
        "dF", context=4, background=np.full_like(movie, 2.0), inplace=False
    )
    assert np.isnan(alone.loc[3, "v_half_width"])  # one frame has no rise of its own
    assert with_context.loc[3, "v_half_width"] > 0
    assert_allclose(with_context["v_dff_max"], with_context["v_df_max"] / 2, rtol=1e-6)


def test_every_physiological_column_is_described(store):
    from astrocast.events.physiology_schema import physiology_columns

    events = Events(store, data="infer")
    assert set(events.physiology("dF")) == {c.name for c in physiology_columns()}
    described = {c.name: c.unit for c in events.export.described}
    assert described["v_rise_time"] == "s"
    assert described["v_onset_speed"] == "µm/s"


def test_physiology_refuses_what_it_cannot_use(store):
    events = Events(store)
    with pytest.raises(InvalidValueError, match="dFF"):
        events.physiology("raw")
    with pytest.raises(InvalidValueError, match="landmark"):
        events.physiology(landmarks={"soma": np.zeros((3, 3))})
    with pytest.raises(InvalidValueError, match="above 0"):
        events.physiology(pixel_size=0)


# --------------------------------------------------------------------------------------
# none


def test_no_events_at_all(store):
    events = Events(store, data="infer")
    events.filter({"dz": (1000, None)})
    assert events.to_numpy().shape == (0, 40)
    assert events.to_tsfresh().empty
    assert len(events.normalize({0: "min_max"}, inplace=False)) == 0
    assert events.enforce_length(min_length=3).empty
    assert events.physiology().empty
    events.extend(2)
    assert len(events.noise_traces()) == 0
    assert Events.create_event_map(events.events, (2, 3, 4)).sum() == 0


@pytest.mark.parametrize(
    ("method", "model", "others"),
    [
        ("enforce_length", "LengthSettings", {"inplace"}),
        ("extend", "ExtensionSettings", {"inplace"}),
        ("noise_traces", "SurroundingsSettings", set()),
        (
            "physiology",
            "PhysiologySettings",
            {"inplace", "pixel_size", "frame_rate", "background", "landmarks"},
        ),
    ],
)
def test_signatures_have_the_names_and_defaults_of_their_settings(
    method, model, others
):
    import inspect

    from astrocast.settings import analysis

    found = {
        n: p.default
        for n, p in inspect.signature(getattr(Events, method)).parameters.items()
        if n != "self"
    }
    declared = {n: f.default for n, f in getattr(analysis, model).model_fields.items()}
    assert {n: d for n, d in found.items() if n not in others} == declared
