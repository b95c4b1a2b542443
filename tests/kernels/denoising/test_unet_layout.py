import numpy as np
import pytest

from astrocast.errors import InvalidValueError
from astrocast.kernels.denoising.unet_layout import (
    expected_maps,
    receptive_halo,
    unet_from_arrays,
)


def arrays(n_stacks: int, filters: int, context: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    made = []
    for before, after in expected_maps(n_stacks, filters, context):
        made += [rng.normal(0, 0.1, (3, 3, before, after)), rng.normal(0, 0.1, after)]
    return made


@pytest.mark.parametrize("n_stacks", [1, 2, 3, 4])
def test_the_architecture_follows_from_the_shapes(n_stacks: int) -> None:
    unet = unet_from_arrays(arrays(n_stacks, 4, 6))
    assert (unet.n_stacks, unet.filters, unet.context, unet.align) == (
        n_stacks,
        4,
        6,
        2 ** (n_stacks - 1),
    )
    assert unet.halo % unet.align == 0


def test_the_halo_is_that_of_the_published_networks() -> None:
    assert [receptive_halo(n) for n in (2, 3)] == [8, 16]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda a: a[:-2], "even number"),
        (lambda a: [a[0][:, :, :, :3], a[1][:3], *a[2:]], "expected"),
        (lambda a: [a[0] * np.nan, *a[1:]], "finite"),
        (lambda a: [a[0][:2], *a[1:]], "shape"),
        (lambda a: a[:3], "3 arrays"),
    ],
)
def test_other_weights_are_refused_with_what_is_wrong(spoil, said: str) -> None:
    with pytest.raises(InvalidValueError, match=said):
        unet_from_arrays(spoil(arrays(2, 4, 6)))
