"""Folders of TIFF files: gaps, channels by their names, files that do not belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from astrocast.errors import AstrocastWarning, ChoiceError, FormatError
from astrocast.io import open_recording


def page_of(value: int, dtype: str = "uint16") -> np.ndarray:
    return np.full((6, 7), value, dtype)


def write(folder: Path, pages: dict[str, int]) -> None:
    folder.mkdir(exist_ok=True)
    for name, value in pages.items():
        tifffile.imwrite(folder / name, page_of(value), photometric="minisblack")


def values_of(recording) -> list[int]:
    return recording.to_array()[:, 0, 0].tolist()


def test_missing_files_are_refused_blank_or_closed(tmp_path: Path) -> None:
    numbers = [t for t in range(10) if t not in (3, 4, 8)]
    write(tmp_path, {f"x_{t:03d}.tif": 100 + t for t in numbers})
    with pytest.raises(
        FormatError, match=r"3 are missing: 3, 4, 8\. .*missing='blank'"
    ):
        open_recording(tmp_path)
    with pytest.warns(AstrocastWarning, match="blank frames are inserted"):
        found = open_recording(tmp_path, missing="blank")
    with found:
        expected = [100 + t if t in numbers else 0 for t in range(10)]
        assert values_of(found) == expected
        assert found.missing == (3, 4, 8)
        assert found.read_every(2, 10, 3)[:, 0, 0].tolist() == expected[2::3]
        assert found.read(3, 5).max() == 0
    with pytest.warns(AstrocastWarning, match="gaps are closed"):
        found = open_recording(tmp_path, missing="close")
    with found:
        assert values_of(found) == [100 + t for t in numbers]


def test_a_missing_file_of_several_frames(tmp_path: Path) -> None:
    for part in (0, 1, 3):
        movie = np.full((4, 6, 7), part + 1, np.uint8)
        tifffile.imwrite(tmp_path / f"x_{part}.tif", movie, photometric="minisblack")
    with pytest.warns(AstrocastWarning, match="1 are missing: 2"):
        found = open_recording(tmp_path, missing="blank")
    with found:
        assert values_of(found) == [1] * 4 + [2] * 4 + [0] * 4 + [4] * 4
        assert found.missing == (8, 9, 10, 11)


def test_a_step_that_is_larger_than_one_is_not_a_gap(tmp_path: Path) -> None:
    write(tmp_path, {f"x_{10 * t}.tif": t for t in range(6)})
    assert values_of(open_recording(tmp_path)) == list(range(6))


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("rec_Ch{n}_{t:06d}.tif", ("ch1", "ch2")),
        ("rec_t{t:03d}_c{n}.tif", ("ch1", "ch2")),
        ("{word}_{t}.tif", ("green", "red")),
        ("rec_{t}_{word}_{t}.tif", ("green", "red")),
        ("img_{t:09d}_{word}_000.tif", None),
    ],
)
def test_two_channels_by_their_names(
    tmp_path: Path, pattern: str, names: tuple[str, str] | None
) -> None:
    pages = {
        pattern.format(t=t, n=c + 1, word=("green", "red")[c]): 100 * c + t
        for t in range(12)
        for c in range(2)
    }
    write(tmp_path, pages)
    if names is None:  # which number counts frames is ambiguous: refused
        with pytest.raises(FormatError, match="the same number"):
            open_recording(tmp_path)
        return
    with pytest.raises(ChoiceError, match=rf"{names[0]}.*{names[1]}"):
        open_recording(tmp_path)
    for c, name in enumerate(names):
        with open_recording(tmp_path, channel=name) as found:
            assert values_of(found) == [100 * c + t for t in range(12)]
            assert found.metadata.channel_names == (name,)


def test_planes_and_positions_by_their_names(tmp_path: Path) -> None:
    pages = {
        f"img_channel{c:03d}_position{p:03d}_time{t:09d}_z{z:03d}.tif": 1000 * p
        + 100 * c
        + 10 * t
        + z
        for c in range(2)
        for p in range(2)
        for t in range(3)
        for z in range(2)
    }
    write(tmp_path, pages)
    (tmp_path / "metadata.txt").write_text("{}")
    with pytest.raises(ChoiceError, match="2 positions"):
        open_recording(tmp_path)
    with open_recording(tmp_path, position=1, plane=1, channel=0) as found:
        assert values_of(found) == [1001, 1011, 1021]


def test_a_channel_that_lacks_a_frame(tmp_path: Path) -> None:
    pages = {f"rec_Ch{c}_{t:06d}.tif": t for t in range(6) for c in (1, 2)}
    del pages["rec_Ch2_000003.tif"]
    write(tmp_path, pages)
    with pytest.raises(FormatError, match="1 are missing: 3"):
        open_recording(tmp_path, channel=0)
    with pytest.warns(AstrocastWarning, match="blank"):
        found = open_recording(tmp_path, channel=1, missing="blank")
    with found:
        assert values_of(found) == [0, 1, 2, 0, 4, 5]
        assert found.missing == (3,)


def test_an_extra_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, {f"rec_{t:03d}.tif": t for t in range(8)})
    tifffile.imwrite(tmp_path / "AVG_rec.tif", page_of(3, "float32"))
    with pytest.raises(FormatError, match=r"AVG_rec\.tif has no number.*projection"):
        open_recording(tmp_path)
    (tmp_path / "AVG_rec.tif").rename(tmp_path / "AVG_rec_003.tif")
    with pytest.raises(FormatError, match=r"AVG_rec_003\.tif .* projection"):
        open_recording(tmp_path)
    (tmp_path / "AVG_rec_003.tif").rename(tmp_path / "AVG_rec_008.tif")
    with pytest.raises(
        FormatError, match=r"AVG_rec_008\.tif has .*float32.*projection"
    ):
        open_recording(tmp_path)


def test_micromanager_pages_say_which_plane_they_are(tmp_path: Path) -> None:
    import json

    pages = [(t, z, c) for t in range(4) for z in range(2) for c in range(2)]
    shuffled = [pages[i] for i in np.random.default_rng(3).permutation(len(pages))]
    for part, name in enumerate(("rec_MMStack_Pos0.tif", "rec_MMStack_Pos0_1.tif")):
        with tifffile.TiffWriter(tmp_path / name) as tiff:
            for t, z, c in shuffled[8 * part : 8 * part + 8]:
                text = {
                    "FrameIndex": t,
                    "SliceIndex": z,
                    "ChannelIndex": c,
                    "PixelSizeUm": 0.5,
                    "ElapsedTime-ms": 250.0 * t,
                }
                tiff.write(
                    page_of(100 * t + 10 * z + c),
                    metadata=None,
                    contiguous=False,
                    photometric="minisblack",
                    extratags=[(51123, 2, 0, json.dumps(text), True)],
                )
    for path in (*sorted(tmp_path.iterdir()), tmp_path):
        with open_recording(path, plane=1, channel=0) as found:
            assert values_of(found) == [10, 110, 210, 310]
            assert found.metadata.pixel_size == (0.5, 0.5)
            assert found.metadata.frame_rate == pytest.approx(4.0)
