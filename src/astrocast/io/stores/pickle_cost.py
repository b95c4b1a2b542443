"""Limit the time that loading a pickle takes.

Python hashes each key of a dictionary and each item of a set. To hash a tuple, all its
items are hashed, and a pickle can refer to the same tuple many times: a few hundred
bytes of nested tuples can take years to hash.
"""

from __future__ import annotations

import pickletools
from typing import Any, BinaryIO

from astrocast.errors import FormatError

_GET = ("GET", "BINGET", "LONG_BINGET")
_PUT = ("PUT", "BINPUT", "LONG_BINPUT")
_HASHING = ("DICT", "SETITEM", "SETITEMS", "ADDITEMS", "FROZENSET")
_MARK = -1


def check_hash_cost(file: BinaryIO, budget: int) -> None:
    """Raise an error if the keys of a pickle expand to too many items.

    The pickle is not run: its instructions are followed with the number of items
    instead of each object.

    Parameters
    ----------
    file
        The pickle, read from the current position on.
    budget
        Largest number of items in one tuple, and in all keys together.

    Raises
    ------
    FormatError
        A tuple, or all keys together, have more items.

    Examples
    --------
    >>> import io, pickle
    >>> nested = ()
    >>> for _ in range(40):
    ...     nested = (nested, nested)
    >>> check_hash_cost(io.BytesIO(pickle.dumps(nested)), 1000)
    Traceback (most recent call last):
    astrocast.errors.FormatError: nested tuples expand to more items than the file ...
    """
    stack: list[int] = []
    memo: dict[int, int] = {}
    left = budget
    for code, argument, _ in pickletools.genops(file):
        name = code.name
        if name == "MARK":
            stack.append(_MARK)
        elif name in _GET:
            stack.append(memo[int(argument)])  # type: ignore[arg-type]
        elif name in _PUT:
            memo[int(argument)] = stack[-1]  # type: ignore[arg-type]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            taken = _take(stack, code)
            size = 1 + sum(taken) if "TUPLE" in name else 1
            left -= sum(taken) if name in _HASHING else 0
            if size > budget or left < 0:
                raise FormatError(
                    "nested tuples expand to more items than the file has bytes; it was"
                    " not made by astroCAST 0.4"
                )
            stack.extend([size] * len(code.stack_after))


def _take(stack: list[int], code: Any) -> list[int]:
    """Remove the arguments of an instruction from the stack, and return them."""
    before = code.stack_before
    taken: list[int] = []
    if pickletools.markobject in before:
        while (size := stack.pop()) != _MARK:
            taken.append(size)
        before = before[: before.index(pickletools.markobject)]
    taken.extend(stack.pop() for _ in before)
    return taken
