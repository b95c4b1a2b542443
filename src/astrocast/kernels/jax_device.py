"""The memory of the device that JAX computes on, and what fits into it."""

from __future__ import annotations

from typing import Any


def device_bytes() -> int | None:
    """Return the memory that JAX may use on its device, in bytes.

    None on a CPU, which does not say it. JAX is imported.
    """
    import jax

    statistics: dict[str, Any] = jax.devices()[0].memory_stats() or {}
    limit = statistics.get("bytes_limit")
    return None if limit is None else int(limit)


def fit_to_memory(
    memory: int | None, bytes_each: int, default: int, limits: tuple[int, int]
) -> int:
    """Return how many items are computed at once: a power of two that fits.

    Parameters
    ----------
    memory
        Of the device, in bytes; None where it is not known.
    bytes_each
        Bytes that an item needs.
    default
        What is returned where the memory is not known.
    limits
        The fewest and the most.

    Examples
    --------
    >>> fit_to_memory(40 << 30, 64 * 4 * 512 * 512, 32, (8, 256))
    256
    >>> fit_to_memory(8 << 30, 64 * 4 * 2048 * 2048, 32, (8, 256))
    8
    >>> fit_to_memory(None, 1, 32, (8, 256))
    32
    """
    if memory is None:
        return default
    fewest, most = limits
    fits = max(1, memory // max(1, bytes_each))
    return min(max(1 << (fits.bit_length() - 1), fewest), most)
