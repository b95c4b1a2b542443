"""A result file laid out as AQuA2 saves it: the voxels that went in come out at their
frame, row and column.
"""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astrocast.analysis import Events
from astrocast.errors import FormatError, RecordingNotFoundError
from astrocast.io.stores.aqua import read_aqua2

SHAPE = (12, 7, 9)


def write_mat(path, labels, *, planes=True, curves=None, skip=()):
    """MATLAB's v7.3 layout: cells as references, arrays turned round, indices from 1
    down the columns.
    """
    frames, rows, columns = labels.shape
    with h5py.File(path, "w") as file:
        found = file.create_group("res")
        sizes = [rows, columns, 1, frames] if planes else [rows, columns, frames]
        if "sz" not in skip:
            found["opts/sz"] = np.array(sizes, float)[:, None]
        found["opts/frameRate"] = np.array([[0.5]])
        found["opts/spatialRes"] = np.array([[0.8]])
        cells = []
        matlab = np.moveaxis(labels, 0, -1)  # (row, column, frame)
        for n in range(1, labels.max() + 1):
            name = f"#refs#/e{n}"
            file[name] = (np.flatnonzero(matlab.ravel(order="F") == n) + 1.0)[None]
            cells.append(file[name].ref)
        if "evt1" not in skip:
            found.create_dataset("evt1", data=np.array([cells], h5py.ref_dtype))
        if curves is not None:
            # (kind, frames, events) on disk
            found["dffMat1"] = np.stack([curves, curves * 0]).transpose(0, 2, 1)


@pytest.fixture
def labels():
    labels = np.zeros(SHAPE, int)
    labels[2:5, 1:3, 4:8] = 1
    labels[6:9, 5, 2] = 2
    labels[7, 5, 3] = 2
    return labels


@pytest.mark.parametrize("planes", [True, False])
def test_voxels_come_back_at_their_place(tmp_path, labels, planes):
    curves = np.arange(24.0).reshape(2, 12)
    write_mat(tmp_path / "a_AQuA2.mat", labels, planes=planes, curves=curves)
    table, shape, metadata = read_aqua2(tmp_path / "a_AQuA2.mat")
    assert shape == SHAPE
    assert (metadata.frame_rate, metadata.pixel_size) == (2.0, (0.8, 0.8))
    assert_array_equal(Events.create_event_map(table, shape), labels)
    assert_array_equal(table.loc[2, "trace"], curves[1, 6:9])
    assert table["v_area"].tolist() == [24, 4]
    assert_allclose(table["v_fp_cy"], [5.5, 2.5])


def test_files_that_are_no_result_say_what_is_missing(tmp_path, labels):
    for skip, missing in ((("sz",), "opts.sz"), (("evt1",), "evt1")):
        write_mat(tmp_path / "a.mat", labels, skip=skip)
        with pytest.raises(FormatError, match=missing):
            read_aqua2(tmp_path / "a.mat")
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file["other"] = 1
    with pytest.raises(FormatError, match="other"):
        read_aqua2(tmp_path / "b.mat")
    (tmp_path / "c.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(FormatError, match=r"v7\.3"):
        read_aqua2(tmp_path / "c.mat")
    with pytest.raises(RecordingNotFoundError):
        read_aqua2(tmp_path / "d.mat")


def test_voxels_outside_the_movie_and_volumes_are_refused(tmp_path, labels):
    write_mat(tmp_path / "a.mat", labels)
    with h5py.File(tmp_path / "a.mat", "a") as file:
        file["res/opts/sz"][...] = np.array([[7], [9], [1], [3]])
    with pytest.raises(FormatError, match="outside the movie"):
        read_aqua2(tmp_path / "a.mat")
    with h5py.File(tmp_path / "a.mat", "a") as file:
        file["res/opts/sz"][...] = np.array([[7], [9], [4], [3]])
    with pytest.raises(FormatError, match="one plane"):
        read_aqua2(tmp_path / "a.mat")


def test_a_result_without_events(tmp_path):
    write_mat(tmp_path / "a.mat", np.zeros(SHAPE, int), skip=("evt1",))
    with h5py.File(tmp_path / "a.mat", "a") as file:
        file["res/evt1"] = np.zeros(2, np.uint64)
        file["res/evt1"].attrs["MATLAB_empty"] = 1
    assert read_aqua2(tmp_path / "a.mat")[0].empty
