"""Bound the work that a pickle causes while it is loaded.

Python hashes a key of a dictionary, or an item of a set, when it is put there. The hash
of a tuple is that of all its items, and a pickle can name the same tuple many times:
a few hundred bytes of tuples of tuples take longer to hash than anybody waits.
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
    """Refuse a pickle whose keys unfold to more items than its file has bytes.

    Nothing of the pickle is run: its instructions are followed with the number of items
    in place of each object.

    Parameters
    ----------
    file
        The pickle, from its present position on; moved.
    budget
        Largest number of items in one tuple, and in all keys together.

    Raises
    ------
    FormatError
        A tuple, or the keys together, hold more items.

    Examples
    --------
    >>> import io, pickle
    >>> nested = ()
    >>> for _ in range(40):
    ...     nested = (nested, nested)
    >>> check_hash_cost(io.BytesIO(pickle.dumps(nested)), 1000)
    Traceback (most recent call last):
    astrocast.errors.FormatError: tuples within tuples unfold to more than the file ...
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
                    "tuples within tuples unfold to more than the file can hold; it was"
                    " not made by astroCAST 0.4"
                )
            stack.extend([size] * len(code.stack_after))


def _take(stack: list[int], code: Any) -> list[int]:
    """Remove what an instruction takes from the stack, and return it."""
    before = code.stack_before
    taken: list[int] = []
    if pickletools.markobject in before:
        while (size := stack.pop()) != _MARK:
            taken.append(size)
        before = before[: before.index(pickletools.markobject)]
    taken.extend(stack.pop() for _ in before)
    return taken
