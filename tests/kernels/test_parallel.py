from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from astrocast.kernels.parallel import run_in_threads


@pytest.mark.parametrize("threads", [None, 1, 3])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 40])
def test_every_item_is_done_once(n, threads):
    done: list[int] = []

    def kernel(lo: int, hi: int, out: list[int]) -> None:
        out.extend(range(lo, hi))

    if threads is None:
        run_in_threads(None, n, kernel, done)
    else:
        with ThreadPoolExecutor(threads) as pool:
            run_in_threads(pool, n, kernel, done)
    assert sorted(done) == list(range(n))


def test_an_error_in_a_thread_is_raised():
    def kernel(lo: int, hi: int) -> None:
        raise ValueError("from the kernel")

    with (
        ThreadPoolExecutor(2) as pool,
        pytest.raises(ValueError, match="from the kernel"),
    ):
        run_in_threads(pool, 8, kernel)
