import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from astrocast.kernels.denoising.tiles import plan_tiles


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([(8, 2), (16, 4), (2, 1)]),
    st.integers(4, 40),
)
def test_tiles_cover_a_frame_once_and_carry_their_true_surroundings(
    rows, columns, network, largest
) -> None:
    halo, align = network
    tiling = plan_tiles((rows, columns), halo, align, largest)
    assert all(side % align == 0 for side in (*tiling.tile, *tiling.size))
    frame = np.arange(rows * columns, dtype=float).reshape(1, rows, columns)
    extended = tiling.extend(frame)[0]
    np.testing.assert_array_equal(
        extended[halo : halo + rows, halo : halo + columns], frame[0]
    )
    out, times = np.full((rows, columns), -1.0), np.zeros((rows, columns))
    for y, x in tiling.corners():
        tiling.place(
            out, (y, x), extended[y : y + tiling.size[0], x : x + tiling.size[1]]
        )
        times[y : y + tiling.tile[0], x : x + tiling.tile[1]] += 1
    np.testing.assert_array_equal(out, frame[0])
    assert (times == 1).all()


def test_a_frame_is_mirrored_at_its_border() -> None:
    extended = plan_tiles((4, 4), 2, 1).extend(np.arange(16).reshape(1, 4, 4))[0]
    np.testing.assert_array_equal(extended[0, 2:6], [8, 9, 10, 11])
