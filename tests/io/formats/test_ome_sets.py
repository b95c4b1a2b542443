"""OME-TIFF in one file or many: each plane comes from the right file and page. Every
plane has its own value, so that its origin is known.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astrocast.errors import AstrocastWarning, ChoiceError, FormatError
from astrocast.io import open_recording

NAMESPACE = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
ROWS, COLUMNS = 5, 7


def plane_of(t: int, z: int, c: int, p: int = 0, dtype: str = "uint16") -> np.ndarray:
    value = 1000 * p + 100 * t + 10 * z + c
    return (value + np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % 3).astype(dtype)


def movie_of(frames: int, z: int = 0, c: int = 0, p: int = 0) -> np.ndarray:
    return np.stack([plane_of(t, z, c, p) for t in range(frames)])


def write_set(
    folder: Path,
    sizes: dict[str, int],
    files: int,
    *,
    positions: int = 1,
    order: str = "XYCZT",
    master: str = "all",
    named: bool = True,
    suffix: str = ".ome.tif",
    options: tuple[dict, ...] = ({},),
    drop: tuple[int, ...] = (),
    extra: str = "",
    position_files: bool = False,
) -> list[Path]:
    """Write a set of OME-TIFF files whose planes are dealt out in turn.

    ``master``: the description is in ``all`` files, in the ``first`` (the others name
    it), or in a ``companion``. ``options`` are used by the files in turn.
    """
    folder.mkdir(exist_ok=True, parents=True)
    axes = order[2:]
    count = int(np.prod([sizes.get(a, 1) for a in axes]))
    names = [f"rec_{i}{suffix}" for i in range(files)]
    uuids = [f"urn:uuid:0000000{i}-0000-0000-0000-000000000000" for i in range(files)]
    pages: list[list[np.ndarray]] = [[] for _ in names]
    images = ""
    for p in range(positions):
        blocks = ""
        for i, slow in enumerate(
            itertools.product(*[range(sizes.get(a, 1)) for a in axes[::-1]])
        ):
            at = dict(zip(axes[::-1], slow, strict=True))
            file = p if position_files else (i + p) % files
            identity = f'<UUID FileName="{names[file]}">{uuids[file]}</UUID>'
            blocks += (
                f'<TiffData FirstT="{at["T"]}" FirstZ="{at["Z"]}" FirstC="{at["C"]}"'
                f' IFD="{len(pages[file])}" PlaneCount="1">'
                f"{identity if named else ''}</TiffData>"
            )
            pages[file].append(plane_of(at["T"], at["Z"], at["C"], p))
        assert count
        size = "".join(f' Size{a}="{sizes.get(a, 1)}"' for a in "TZC")
        channels = "".join(
            f'<Channel ID="Channel:0:{i}" Name="dye{i}" SamplesPerPixel="1"/>'
            for i in range(sizes.get("C", 1))
        )
        images += (
            f'<Image ID="Image:{p}" Name="Pos{p}"><Pixels ID="Pixels:{p}"'
            f' DimensionOrder="{order}" Type="uint16" SizeX="{COLUMNS}"'
            f' SizeY="{ROWS}"{size} PhysicalSizeX="0.5" PhysicalSizeY="0.25"'
            f' TimeIncrement="0.1">{channels}{blocks}{extra}</Pixels></Image>'
        )
    holder = names[0] if master == "first" else "set.companion.ome"
    paths = []
    for i, name in enumerate(names):
        if i in drop:
            continue
        whole = master == "all" or (master == "first" and i == 0)
        body = (
            images
            if whole
            else f'<BinaryOnly MetadataFile="{holder}" UUID="{uuids[0]}"/>'
        )
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            f'<OME {NAMESPACE} UUID="{uuids[i]}">{body}</OME>'
        )
        chosen = dict(options[i % len(options)])
        order_of_bytes = chosen.pop("byteorder", "<")
        big = chosen.pop("bigtiff", False)
        with tifffile.TiffWriter(
            folder / name, byteorder=order_of_bytes, bigtiff=big
        ) as tiff:
            for k, page in enumerate(pages[i]):
                tiff.write(
                    page,
                    description=xml if k == 0 else None,
                    metadata=None,
                    contiguous=False,
                    photometric="minisblack",
                    **chosen,
                )
        paths.append(folder / name)
    if master == "companion":
        (folder / holder).write_text(f"<OME {NAMESPACE}>{images}</OME>")
        paths.append(folder / holder)
    return paths


OPTIONS = (
    {},
    {"byteorder": ">"},
    {"bigtiff": True},
    {"compression": "zlib"},
    {"compression": "lzw", "predictor": True},
    {"tile": (16, 16)},
    {"rowsperstrip": 2},
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    frames=st.integers(2, 6),
    planes=st.integers(1, 3),
    channels=st.integers(1, 3),
    files=st.integers(1, 5),
    order=st.permutations("CZT"),
    master=st.sampled_from(["all", "first", "companion"]),
    options=st.lists(st.sampled_from(OPTIONS), min_size=1, max_size=3),
    data=st.data(),
)
def test_any_part_of_any_set_opens_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    frames: int,
    planes: int,
    channels: int,
    files: int,
    order: list[str],
    master: str,
    options: list[dict],
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("set")
    sizes = {"T": frames, "Z": planes, "C": channels}
    files = min(files, frames * planes * channels)
    paths = write_set(
        folder,
        sizes,
        files,
        order="XY" + "".join(order),
        master=master,
        options=tuple(options),
    )
    z = data.draw(st.integers(0, planes - 1))
    c = data.draw(st.integers(0, channels - 1))
    path = data.draw(st.sampled_from([*paths, folder] if files > 1 else paths))
    chosen = {"plane": z if planes > 1 else None, "channel": c}
    with open_recording(path, **chosen) as found:
        np.testing.assert_array_equal(found.to_array(), movie_of(frames, z, c))
        assert found.dtype == np.uint16
        assert found.metadata.pixel_size == (0.25, 0.5)
        assert found.metadata.frame_rate == pytest.approx(10)
        assert found.metadata.channel_names == (f"dye{c}",)
        part = found.read(1, frames, slice(1, 4), slice(2, 6))
        np.testing.assert_array_equal(part, movie_of(frames, z, c)[1:, 1:4, 2:6])


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    paths = write_set(tmp_path, {"T": 6}, 3, drop=(1,))
    for path in (*paths, tmp_path):
        with pytest.raises(FormatError, match=r"1 of 3 files .* missing: rec_1\.ome"):
            open_recording(path)
    lonely = write_set(tmp_path / "b", {"T": 6}, 3, master="first", drop=(0,))
    with pytest.raises(FormatError, match=r"rec_0\.ome\.tif, which is missing in"):
        open_recording(lonely[0])


def test_parts_that_were_renamed_are_found_by_their_identity(tmp_path: Path) -> None:
    paths = write_set(tmp_path, {"T": 6}, 3)
    for i, path in enumerate(paths):
        path.rename(tmp_path / f"other name {i}.tif")
    for path in (tmp_path / "other name 1.tif", tmp_path):
        with open_recording(path) as found:
            np.testing.assert_array_equal(found.to_array(), movie_of(6))
    (alone,) = write_set(tmp_path / "one", {"T": 4}, 1)
    alone.rename(tmp_path / "one" / "copy.tif")
    with open_recording(tmp_path / "one" / "copy.tif") as found:
        np.testing.assert_array_equal(found.to_array(), movie_of(4))


def test_a_copy_of_a_file_is_read_itself(tmp_path: Path) -> None:
    (path,) = write_set(tmp_path, {"T": 4}, 1)
    other = write_set(tmp_path / "b", {"T": 5}, 1)[0].rename(tmp_path / "b.ome.tif")
    with open_recording(other) as found:  # its XML names a file that is another one
        np.testing.assert_array_equal(found.to_array(), movie_of(5))
    with open_recording(path) as found:
        np.testing.assert_array_equal(found.to_array(), movie_of(4))


def test_a_part_of_another_recording_is_refused(tmp_path: Path) -> None:
    write_set(tmp_path, {"T": 6}, 3)
    path = tmp_path / "rec_2.ome.tif"
    content = path.read_bytes().replace(b"0000000", b"1111111")
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"rec_2.* belongs to another recording"):
        open_recording(tmp_path / "rec_0.ome.tif")


def test_parts_without_ome_in_their_names(tmp_path: Path) -> None:
    paths = write_set(tmp_path, {"T": 6, "C": 2}, 2, suffix=".tif")
    for path in (*paths, tmp_path):
        with open_recording(path, channel="dye1") as found:
            np.testing.assert_array_equal(found.to_array(), movie_of(6, c=1))


@pytest.mark.parametrize("position_files", [True, False])
def test_positions(tmp_path: Path, position_files: bool) -> None:
    paths = write_set(tmp_path, {"T": 4}, 2, positions=2, position_files=position_files)
    with pytest.raises(ChoiceError, match=r"2 positions: 0 \(Pos0\), 1 \(Pos1\)"):
        open_recording(tmp_path)
    for chosen in ({"position": 1}, {"series": "1"}, {"scene": "Pos1"}):
        with open_recording(tmp_path, **chosen) as found:
            np.testing.assert_array_equal(found.to_array(), movie_of(4, p=1))
            assert found.choices["position"] == ("Pos0", "Pos1")
    if position_files:  # the file of a position chooses it
        for p, path in enumerate(paths):
            with open_recording(path) as found:
                np.testing.assert_array_equal(found.to_array(), movie_of(4, p=p))
    with pytest.raises(ChoiceError, match="no position 7"):
        open_recording(tmp_path, position=7)


def test_a_plane_is_asked_for_and_named(tmp_path: Path) -> None:
    (path,) = write_set(tmp_path, {"T": 4, "Z": 3}, 1)
    with pytest.raises(ChoiceError, match="3 planes: 0, 1, 2"):
        open_recording(path)
    for chosen in ({"plane": 2}, {"z": 2}, {"loc": "plane=2"}):
        with open_recording(path, **chosen) as found:
            np.testing.assert_array_equal(found.to_array(), movie_of(4, z=2))
            assert found.loc == "plane=2"
        with open_recording(path, found.loc) as again:
            np.testing.assert_array_equal(again.to_array(), movie_of(4, z=2))
    with pytest.raises(ChoiceError, match="no position 3"):
        open_recording(path, plane=0, position=3)


def test_times_of_planes_give_the_rate(tmp_path: Path) -> None:
    times = [0.0, 0.5, 1.0, 2.5, 3.0]
    planes = "".join(
        f'<Plane TheT="{t}" TheZ="0" TheC="0" DeltaT="{1000 * s}" DeltaTUnit="ms"/>'
        for t, s in enumerate(times)
    )
    (path,) = write_set(tmp_path, {"T": 5}, 1, extra=planes)
    with open_recording(path) as found:
        assert found.metadata.frame_rate == pytest.approx(2.0)
        assert found.metadata.frame_times == pytest.approx(times)
        text = found.metadata.describe_steps()
    assert text == "uneven steps between frames: 0.5 to 1.5 s, median 0.5 s"


def test_an_acquisition_that_was_stopped_ends_there(tmp_path: Path) -> None:
    (path,) = write_set(tmp_path, {"T": 4}, 1)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'SizeT="4"', b'SizeT="9"'))
    with pytest.warns(
        AstrocastWarning, match="states 9 frames but contains only the first 4"
    ):
        found = open_recording(path)
    np.testing.assert_array_equal(found.to_array(), movie_of(4))
    assert "stopped" in found.remarks[0]
    (gap,) = write_set(tmp_path / "gap", {"T": 4}, 1)
    content = gap.read_bytes()
    gap.write_bytes(content.replace(b'FirstT="1"', b'FirstT="0"'))
    with pytest.raises(FormatError, match="frames, but not the location of frames 1"):
        open_recording(gap)


def test_a_projection_in_the_folder_of_a_set_is_named(tmp_path: Path) -> None:
    write_set(tmp_path, {"T": 6}, 3)
    tifffile.imwrite(tmp_path / "MAX_rec.tif", plane_of(0, 0, 0))
    with pytest.raises(FormatError, match=r"MAX_rec\.tif .* projection"):
        open_recording(tmp_path)
    (tmp_path / "MAX_rec.tif").unlink()
    (tmp_path / "rec.env").write_text("settings")
    (tmp_path / "References").mkdir()
    with open_recording(tmp_path) as found:
        assert len(found) == 6


def test_the_description_of_prairieview_fills_in_the_rate(tmp_path: Path) -> None:
    paths = write_set(tmp_path, {"T": 4}, 4)
    for path in paths:
        content = path.read_bytes().replace(b"TimeIncrement", b"NoIncrementxx")
        path.write_bytes(content)
    frames = "".join(f'<Frame absoluteTime="{t * 0.2}"/>' for t in range(4))
    (tmp_path / "rec.xml").write_text(
        '<PVScan date="1/2/2024"><PVStateValue key="framePeriod" value="0.25"/>'
        f"<Sequence>{frames}</Sequence></PVScan>"
    )
    with open_recording(paths[2]) as found:
        assert found.metadata.frame_rate == pytest.approx(5.0)
        assert found.metadata.acquisition_time == "1/2/2024"
