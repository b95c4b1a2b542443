"""The memory of the device on which JAX computes, and how many items fit into it."""

from __future__ import annotations

from typing import Any


def device_bytes() -> int | None:
    """Return the memory that JAX may use on its device, in bytes; imports JAX.

    None if it is not known, as on a CPU.
    """
    import jax

    statistics: dict[str, Any] = jax.devices()[0].memory_stats() or {}
    limit = statistics.get("bytes_limit")
    return None if limit is None else int(limit)


def fit_to_memory(
    memory: int | None, bytes_each: int, default: int, limits: tuple[int, int]
) -> int:
    """Return how many items to compute at once: a power of two that fits.

    Parameters
    ----------
    memory
        Memory of the device, in bytes; None if it is not known.
    bytes_each
        Bytes that an item needs.
    default
        Result if the memory is not known.
    limits
        Smallest and largest result.

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
