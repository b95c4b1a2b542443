import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate

from astrocast.kernels.denoising.pixel_shuffle import phase_kernel, shuffle_pixels


def convolve(maps: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(input, row, column) with zeros around, the plain definition."""
    out = np.zeros((kernel.shape[3], *maps.shape[1:]))
    for o in range(kernel.shape[3]):
        for i in range(kernel.shape[2]):
            out[o] += correlate(
                maps[i], kernel[:, :, i, o], mode="same", method="direct"
            )
    return out


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_phases_of_the_small_map_are_the_convolution_of_the_doubled_map(
    rows, columns, inputs, outputs, seed
) -> None:
    rng = np.random.default_rng(seed)
    small = rng.normal(size=(inputs, rows + 2, columns + 2))
    kernel = rng.normal(size=(3, 3, inputs, outputs)).astype(np.float32)
    expected = convolve(small.repeat(2, 1).repeat(2, 2), kernel)
    found = shuffle_pixels(convolve(small, phase_kernel(kernel))[None])[0]
    np.testing.assert_allclose(found, expected, atol=2e-6)
