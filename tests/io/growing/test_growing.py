"""Recordings that grow: nothing that is half written is read."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
import zarr

from astrocast.errors import AstrocastWarning, FormatError, InvalidValueError
from astrocast.io.growing.opening import open_growing
from astrocast.io.growing.raw import RawLayout, open_raw

MOVIE = np.random.default_rng(3).integers(1, 4000, (12, 9, 11)).astype(np.uint16)


class Clock:
    """Time that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def write_tiff(frames, **options):
    """Return the bytes of a TIFF file and where each of its pages ends."""
    buffer, ends = io.BytesIO(), []
    with tifffile.TiffWriter(buffer, **options) as tiff:
        for frame in frames:
            tiff.write(frame, contiguous=False, metadata=None)
            ends.append(buffer.tell())
    return buffer.getvalue(), ends


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_pages_of_a_tiff_are_read_only_when_they_are_whole(
    tmp_path, clock, bigtiff, byteorder
):
    content, ends = write_tiff(MOVIE, bigtiff=bigtiff, byteorder=byteorder)
    path = tmp_path / "a.tif"
    growing = open_growing(path, clock=clock)
    assert growing.look() == 0
    counts = []
    for size in [5, *range(100, len(content), 97), len(content)]:
        path.write_bytes(content[:size])
        n = growing.look()
        counts.append(n)
        assert n <= sum(end <= size for end in ends)
        if n:
            np.testing.assert_array_equal(growing.read(0, n), MOVIE[:n])
    assert counts[-1] == len(MOVIE)
    assert counts == sorted(counts)
    assert len(set(counts)) > 8


def test_a_compressed_tiff_is_decoded(tmp_path, clock):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, MOVIE, compression="zlib", metadata=None)
    growing = open_growing(path, clock=clock)
    assert growing.look() == 12
    np.testing.assert_array_equal(growing.read(3, 9), MOVIE[3:9])
    growing.close()


def test_frames_of_imagej_follow_one_directory(tmp_path, clock):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, MOVIE, imagej=True, metadata={"axes": "TYX", "finterval": 0.1}
    )
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        begin = file.pages[0].dataoffsets[0]
    growing = open_growing(path, clock=clock)
    path.write_bytes(content[: begin + 5 * MOVIE[0].nbytes + 20])
    assert growing.look() == 5
    path.write_bytes(content)
    assert growing.look() == 12
    np.testing.assert_array_equal(growing.read(0, 12), MOVIE)


def test_a_file_of_full_size_is_read_as_far_as_it_is_written(tmp_path, clock):
    path = tmp_path / "a.raw"
    stored = np.memmap(path, "<u2", "w+", shape=MOVIE.shape)
    growing = open_growing(path, raw=RawLayout(9, 11), clock=clock)
    assert growing.look() == 0
    stored[:3] = MOVIE[:3]
    stored[3, :4] = MOVIE[3, :4]  # half a frame
    stored.flush()
    assert growing.look() == 3
    stored[3:6] = MOVIE[3:6]
    stored.flush()
    # the last one may be half written, until time has passed
    assert growing.look() == 5
    clock.now = 5
    assert growing.look() == 6
    stored[7:] = MOVIE[7:]  # frame 6 is black
    stored.flush()
    assert growing.look() == 12
    assert not growing.read(6, 7).any()


def test_raw_frames_and_their_end(tmp_path, clock):
    path = tmp_path / "a.bin"
    layout = RawLayout(9, 11, ">u2", 16)
    path.write_bytes(bytes(16) + MOVIE.astype(">u2").tobytes()[:-5])
    growing = open_growing(path, raw=layout, clock=clock)
    assert growing.look() == 11
    np.testing.assert_array_equal(growing.read(2, 11), MOVIE[2:11])
    with open_raw(path, layout) as whole:
        np.testing.assert_array_equal(whole.to_array(), MOVIE[:11])
    with pytest.raises(FormatError, match="smaller than one frame"):
        open_raw(path, RawLayout(900, 900))


def test_a_layout_without_pixels_is_refused():
    with pytest.raises(InvalidValueError) as error:
        RawLayout(0, -3, offset=-1)
    assert "rows is 0, but must be at least 1" in str(error.value)
    assert "columns is -3, but must be at least 1" in str(error.value)
    assert "offset is -1, but must be at least 0" in str(error.value)
    with pytest.raises(InvalidValueError, match="not a real number"):
        RawLayout(2, 2, "c8")


def test_npy_says_its_own_layout(tmp_path, clock):
    path = tmp_path / "a.npy"
    np.save(path, MOVIE)
    growing = open_growing(path, clock=clock)
    assert growing.look() == 12
    np.testing.assert_array_equal(growing.read(4, 7), MOVIE[4:7])


def test_files_of_a_folder_are_waited_for(tmp_path, clock):
    growing = open_growing(tmp_path, clock=clock)
    assert growing.look() == 0
    for t in (0, 1):
        tifffile.imwrite(tmp_path / f"f_{t}.tif", MOVIE[t], metadata=None)
    tifffile.imwrite(tmp_path / "f_10.tif", MOVIE[3], metadata=None)
    whole, _ = write_tiff(MOVIE[2:3])
    (tmp_path / "f_2.tif").write_bytes(whole[:60])
    (tmp_path / "notes.txt").touch()
    assert growing.look() == 2
    (tmp_path / "f_2.tif").write_bytes(whole)
    assert growing.look() == 3
    clock.now = 1
    assert growing.look() == 3  # number 3 may still come
    tifffile.imwrite(tmp_path / "f_3.tif", MOVIE[4], metadata=None)
    assert growing.look() == 4
    clock.now = 2
    growing.look()
    clock.now = 9
    with pytest.warns(AstrocastWarning, match="no file with the number 4"):
        assert growing.look() == 5
    np.testing.assert_array_equal(growing.read(0, 5), MOVIE[[0, 1, 2, 4, 3]])


def test_files_of_several_pages_follow_each_other(tmp_path, clock):
    growing = open_growing(tmp_path, clock=clock)
    first, ends = write_tiff(MOVIE[:5])
    (tmp_path / "f_1.tif").write_bytes(first[: ends[2] + 3])
    assert growing.look() in (2, 3)
    (tmp_path / "f_1.tif").write_bytes(first)
    assert growing.look() == 5
    second, _ = write_tiff(MOVIE[5:])
    (tmp_path / "f_2.tif").write_bytes(second)
    assert growing.look() == 12
    np.testing.assert_array_equal(growing.read(3, 9), MOVIE[3:9])


def test_a_file_that_stays_broken_is_left_out(tmp_path, clock):
    growing = open_growing(tmp_path, clock=clock)
    for t in range(4):
        tifffile.imwrite(tmp_path / f"f_{t}.tif", MOVIE[t], metadata=None)
    broken = (tmp_path / "f_1.tif").read_bytes()[:50]
    (tmp_path / "f_1.tif").write_bytes(broken)
    assert growing.look() == 1
    clock.now = 4
    with pytest.warns(AstrocastWarning, match="not a complete TIFF"):
        assert growing.look() == 3
    np.testing.assert_array_equal(growing.read(0, 3), MOVIE[[0, 2, 3]])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_chunks_of_a_zarr_array_are_read_when_they_are_whole(
    tmp_path, clock, zarr_format
):
    path = tmp_path / "a.zarr"
    growing = open_growing(path, clock=clock)
    assert growing.look() == 0
    array = zarr.create_array(
        store=str(path),
        shape=(0, 9, 11),
        chunks=(4, 9, 6),
        dtype="u2",
        zarr_format=zarr_format,
    )
    assert growing.look() == 0
    array.resize((4, 9, 11))
    array[:4] = MOVIE[:4]
    assert growing.look() == 0  # it may be written again
    array.resize((6, 9, 11))
    array[4:6] = MOVIE[4:6]
    assert growing.look() == 4
    np.testing.assert_array_equal(growing.read(0, 4), MOVIE[:4])
    clock.now = 5
    growing.look()
    clock.now = 10
    assert growing.look() == 6
    array.resize((12, 9, 11))
    array[6:] = MOVIE[6:]
    growing.look()
    clock.now = 20
    assert growing.look() == 12
    np.testing.assert_array_equal(growing.read(0, 12), MOVIE)


def test_a_damaged_chunk_is_waited_for(tmp_path, clock):
    path = tmp_path / "a.zarr"
    array = zarr.create_array(
        store=str(path), shape=(12, 9, 11), chunks=(4, 9, 11), dtype="u2"
    )
    array[:8] = MOVIE[:8]
    chunk = path / "c" / "0" / "0" / "0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    growing = open_growing(path, clock=clock)
    assert growing.look() == 0
    chunk.write_bytes(whole)
    assert growing.look() == 4


@pytest.mark.parametrize(
    ("name", "error", "part"),
    [
        ("a.h5", FormatError, "cannot be read while"),
        ("a.raw", FormatError, "--rows"),
    ],
)
def test_what_cannot_be_watched_is_said(tmp_path, clock, name, error, part):
    with pytest.raises(error, match=part):
        open_growing(tmp_path / name, clock=clock)


def test_colour_and_other_sizes_are_refused(tmp_path, clock):
    tifffile.imwrite(tmp_path / "rgb.tif", np.ones((8, 8, 3), np.uint8))
    with pytest.raises(FormatError, match="colour"):
        open_growing(tmp_path / "rgb.tif", clock=clock).look()
    folder = tmp_path / "two"
    folder.mkdir()
    tifffile.imwrite(folder / "f_0.tif", MOVIE[0])
    tifffile.imwrite(folder / "f_1.tif", MOVIE[1, :5])
    with pytest.raises(FormatError, match="not one recording"):
        open_growing(folder, clock=clock).look()
    with pytest.raises(InvalidValueError, match="is a folder"):
        open_growing(folder, raw=RawLayout(2, 2), clock=clock)
