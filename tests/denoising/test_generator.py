import inspect
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocast.denoising import SubFrameGenerator
from astrocast.errors import InvalidConditionError, RecordingNotFoundError
from astrocast.io.memory import ArrayRecording
from astrocast.settings.denoising import GeneratorSettings


def numbered(frames: int = 30, rows: int = 12, columns: int = 10) -> np.ndarray:
    """Every voxel has its own number, so that where an item came from can be read off
    its values.
    """
    return np.arange(frames * rows * columns, dtype=np.float32).reshape(
        frames, rows, columns
    )


class Counting(ArrayRecording):
    """Counts how often each frame is read."""

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.reads = np.zeros(array.shape[0], int)

    def read(self, start, stop, *box):
        self.reads[start:stop] += 1
        return super().read(start, stop, *box)


def test_signature_and_settings_declare_the_same() -> None:
    parameters = dict(inspect.signature(SubFrameGenerator.__init__).parameters)
    del parameters["self"], parameters["paths"]
    fields = GeneratorSettings.model_fields
    assert list(parameters) == list(fields)
    for name, parameter in parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            assert parameter.default == fields[name].default, name


def test_it_is_what_keras_trains_on() -> None:
    import keras

    assert issubclass(SubFrameGenerator, keras.utils.PyDataset)


@given(
    st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(any),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.data(),
)
@settings(max_examples=25)
def test_an_item_is_a_frame_and_its_neighbours(context, gap, data) -> None:
    movie = numbered()
    g = SubFrameGenerator(
        movie, 3, (4, 5), context, gap, z_steps=0.5, seed=data.draw(st.integers(0, 9))
    )
    x, y = g[data.draw(st.integers(0, len(g) - 1))]
    assert x.dtype == y.dtype == np.float32
    for item, target in zip(x, y[..., 0], strict=True):
        frame, row, column = np.argwhere(movie == target[0, 0])[0]
        patch = movie[:, row : row + 4, column : column + 5]
        np.testing.assert_array_equal(target, patch[frame])
        before = range(frame - gap[0] - context[0], frame - gap[0])
        after = range(frame + gap[1] + 1, frame + gap[1] + 1 + context[1])
        np.testing.assert_array_equal(
            np.moveaxis(item, -1, 0), patch[[*before, *after]]
        )


def test_an_epoch_covers_the_frame_once_and_its_share_of_targets() -> None:
    movie = numbered(frames=50)
    g = SubFrameGenerator(movie, 7, (4, 5), 2, z_steps=0.25, shuffle=False)
    targets = np.concatenate([g[i][1].ravel() for i in range(len(g))])
    assert len(np.unique(targets)) == len(targets)
    frames = np.unique(targets.astype(int) // 120)
    assert len(targets) == len(frames) * 120
    assert 11 <= len(frames) <= 12
    assert set(np.diff(frames)) == {4}


def test_a_tuple_of_frames_is_a_range_and_a_list_is_a_list() -> None:
    def targets(z_select: object) -> list[int]:
        g = SubFrameGenerator(numbered(), 500, (4, 5), 1, z_select=z_select)
        return sorted({int(t) // 120 for t in g[0][1].ravel()})

    assert targets((5, 9)) == [5, 6, 7, 8]
    assert targets([5, 9]) == [5, 9]
    assert targets(5) == [5]


def test_no_dataset_needs_to_be_named(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["data/ch0"] = numbered()
    expected = SubFrameGenerator(numbered(), 4, (4, 5), 1, shuffle=False)
    with SubFrameGenerator(path, 4, (4, 5), 1, loc=None, shuffle=False) as g:
        assert len(g) == len(expected) > 1
        for found, wanted in zip(g[1], expected[1], strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("padding", ["symmetric", "edge"])
def test_padding_extends_the_frame_to_whole_patches(padding: str) -> None:
    movie = numbered()
    g = SubFrameGenerator(
        movie, 100, (8, 8), 1, z_select=5, padding=padding, shuffle=False
    )
    y = g[0][1][..., 0]
    assert len(y) == 4
    whole = np.block([[y[0], y[1]], [y[2], y[3]]])
    np.testing.assert_array_equal(
        whole, np.pad(movie[5], ((0, 4), (0, 6)), mode=padding)
    )


def test_offset_and_overlap_move_the_patches() -> None:
    movie = numbered(rows=13, columns=17)

    def corners(**options) -> set[tuple[int, int]]:
        found = set()
        g = SubFrameGenerator(movie, 500, (4, 4), 1, z_select=[5], **options)
        for _ in range(12):
            found |= {
                tuple(np.argwhere(movie[5] == t[0, 0])[0]) for t in g[0][1][..., 0]
            }
            g.on_epoch_end()
        return found

    assert corners() == {(y, x) for y in (0, 4, 8) for x in (0, 4, 8, 12)}
    assert corners(overlap=2) == {
        (y, x) for y in range(0, 10, 2) for x in range(0, 14, 2)
    }
    assert {y % 4 for y, _ in corners(random_offset=True)} == {0, 1, 2, 3}


def test_turns_and_flips_are_those_allowed_and_the_same_for_context_and_target() -> (
    None
):
    movie = np.repeat(numbered(frames=1, rows=4, columns=4), 9, 0)
    g = SubFrameGenerator(
        movie, 64, (4, 4), 1, z_steps=1, allowed_rotation=[1, 2], allowed_flip=[-1, 0]
    )
    turned = [np.rot90(movie[0], k) for k in (1, 2)]
    allowed = {m.tobytes() for t in turned for m in (t, t[::-1])}
    seen = set()
    for _ in range(6):
        x, y = g[0]
        np.testing.assert_array_equal(x, np.repeat(y, 2, -1))
        seen |= {np.ascontiguousarray(t[..., 0]).tobytes() for t in y}
        g.on_epoch_end()
    assert seen == allowed


def test_the_same_seed_gives_the_same_batches_and_epochs_differ() -> None:
    def epochs(seed: int | None) -> list[np.ndarray]:
        g = SubFrameGenerator(
            numbered(),
            5,
            (4, 4),
            2,
            add_noise=True,
            drop_frame_probability=0.5,
            seed=seed,
        )
        found = []
        for _ in range(2):
            found.append(g[0][0])
            g.on_epoch_end()
        return found

    a, b, c = epochs(1), epochs(1), epochs(2)
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])
    assert not np.array_equal(a[0], a[1])
    assert not np.array_equal(a[0], c[0])
    assert not np.array_equal(epochs(None)[0], epochs(None)[0])


def test_noise_and_dropped_frames_touch_the_context_only() -> None:
    movie = np.ones((20, 8, 8), np.float32)
    x, y = SubFrameGenerator(
        movie, 99, (4, 4), 2, z_steps=1, drop_frame_probability=1.0
    )[0]
    assert ((x == 0).all((1, 2)).sum(1) == 1).all()
    assert (y == 1).all()
    x, y = SubFrameGenerator(movie, 99, (4, 4), 2, z_steps=1, add_noise=0.5)[0]
    assert x.std() == pytest.approx(0.5, rel=0.1)
    assert (y == 1).all()


def test_normalisation_per_recording_and_per_item() -> None:
    movie = np.random.default_rng(0).normal(500, 20, (40, 16, 16))
    x, y = SubFrameGenerator(movie, 200, (8, 8), 3, z_steps=1, normalize="global")[0]
    assert [x.mean(), x.std(), y.mean()] == pytest.approx([0, 1, 0], abs=0.05)
    x, _ = SubFrameGenerator(
        movie * np.arange(1, 41)[:, None, None], 20, (8, 8), 3, normalize="local"
    )[0]
    np.testing.assert_allclose(x.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(x.std((1, 2, 3)), 1, atol=1e-5)


def test_no_frame_is_read_twice_for_a_batch_and_reading_is_lazy() -> None:
    recordings = [Counting(numbered()), Counting(numbered(frames=25))]
    g = SubFrameGenerator(recordings, 6, (4, 5), 3, z_steps=1)
    assert sum(r.reads.sum() for r in recordings) == 0
    for i in range(len(g)):
        for r in recordings:
            r.reads[:] = 0
        g[i]
        assert max(r.reads.max() for r in recordings) == 1


def test_in_memory_and_cached_batches_are_the_same_batches() -> None:
    plain = SubFrameGenerator(numbered(), 4, (4, 4), 2)
    kept = SubFrameGenerator(
        numbered(), 4, (4, 4), 2, in_memory=True, cache_results=True
    )
    np.testing.assert_array_equal(plain[1][0], kept[1][0])
    first = kept[1][0]
    kept.on_epoch_end()
    assert kept[1][0] is first


def test_size_of_the_target_and_number_of_items() -> None:
    g = SubFrameGenerator(
        [numbered(), numbered()],
        4,
        (6, 6),
        1,
        output_size=(2, 4),
        max_per_file=5,
        z_steps=1,
    )
    assert len(g.items) == 10
    assert len(g) == 3
    assert len(g[2][0]) == 2
    assert g[0][1].shape[1:] == (2, 4, 1)
    with pytest.raises(IndexError, match="3 batches"):
        g[3]


def test_mean_and_deviation_are_kept_in_the_file_and_used_again(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    movie = np.random.default_rng(0).normal(50, 4, (30, 8, 8)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["data/ch0"] = movie
    before = path.read_bytes()
    options = {
        "input_size": (4, 4),
        "pre_post_frame": 1,
        "normalize": "global",
        "loc": "data/ch0",
    }
    with SubFrameGenerator(str(path), 4, save_global_descriptive=False, **options) as g:
        x = g[0][0]
    assert path.read_bytes() == before
    with SubFrameGenerator(str(path), 4, **options) as g:
        np.testing.assert_array_equal(g[0][0], x)
    with h5py.File(path, "r+") as file:
        assert file["data/ch0"].attrs["global_mean"] == pytest.approx(movie.mean())
        np.testing.assert_array_equal(file["data/ch0"][:], movie)
        file["data/ch0"].attrs["global_std"] = 1.0
    with SubFrameGenerator(str(path), 4, **options) as g:
        assert g.scalings[0].scale == 1.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"allowed_rotation": [5]}, "quarter turns"),
        ({"allowed_flip": [2]}, "-1"),
        ({"padding": "wrap"}, "padding"),
        ({"normalize": "both"}, "normalize"),
        ({"random_offset": True, "overlap": 2}, "exclude each other"),
        ({"overlap": 4}, "overlap 4"),
        ({"pre_post_frame": 20}, "30 frames, but the window needs 41"),
        ({"pre_post_frame": 0}, "at least one context frame"),
        (
            {"input_size": (100, 100)},
            r"\(100, 100\) is larger than the frames .*\(12, 10\)",
        ),
        ({"input_size": (4, 5), "allowed_rotation": [1]}, "not square"),
        ({"output_size": (9, 9)}, "larger than input_size"),
        ({"z_select": [0]}, "can be a training target"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_arguments_that_cannot_work_are_refused_in_words(
    change: dict, said: str
) -> None:
    options = {"batch_size": 2, "input_size": (4, 4), "pre_post_frame": 2, **change}
    with pytest.raises(InvalidConditionError, match=said) as caught:
        SubFrameGenerator(numbered(), **options)
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, ValueError)


def test_everything_wrong_with_several_files_is_said_at_once(tmp_path: Path) -> None:
    files = [numbered(frames=3), numbered(rows=2), numbered().astype(np.uint16)]
    with pytest.raises(InvalidConditionError) as caught:
        SubFrameGenerator(files, 2, (4, 4), 2)
    for said in ("3 frames", "(2, 10)", "float32, uint16"):
        assert said in str(caught.value)
    SubFrameGenerator(
        [numbered(rows=9), numbered().astype(np.uint16)],
        2,
        (4, 4),
        2,
        normalize="global",
    )
    with pytest.raises(RecordingNotFoundError, match="nowhere"):
        SubFrameGenerator(tmp_path / "nowhere.h5", 2)
