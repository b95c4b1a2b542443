"""Compile kernels with numba, with a cache on disk that notices every change.

numba stores compiled code beside each source file and compiles again if *this* file
changes. A kernel often calls kernels of other files; numba does not notice a change in
them and continues to use the old code. Here the stamp of a cache is a hash of the code
of the file and of all files of this package that it imports, directly or indirectly.
Comments and docstrings are left out: changing them does not cause a compilation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba

_PACKAGE = "astrocast"
_ROOT = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(
    rf"^[ \t]*(?:from ({_PACKAGE}[\w.]*) import (\([^)]*\)|[^\n]*)"
    rf"|import ({_PACKAGE}[\w.]*))",
    re.MULTILINE,
)
#: docstrings: at the beginning of a file, or after a line that ends with a colon
_DOCSTRING = re.compile(
    rb'(\A|:[ \t]*(?:#[^\n]*)?\n)[ \t]*r?"""(?:[^\\]|\\.)*?"""[ \t]*\n', re.DOTALL
)
#: comments on lines of their own, and empty lines
_COMMENT = re.compile(rb"^[ \t]*(?:#[^\n]*)?\n", re.MULTILINE)


def njit(*args: Any, **options: Any) -> Any:
    """Compile a function as `numba.njit` does; its cache follows the imported files.

    Parameters
    ----------
    args, options
        As for `numba.njit`. With ``cache=True``, compiled code on disk is used only if
        the code of the function's file, and of the files of this package that it
        imports, has not changed.

    Examples
    --------
    >>> @njit
    ... def double(x):
    ...     return 2 * x
    >>> double(3)
    6
    """
    if args and callable(args[0]):
        return _with_stamp(numba.njit(*args, **options))
    decorate: Callable[[Any], Any] = numba.njit(*args, **options)
    return lambda function: _with_stamp(decorate(function))


def _with_stamp(dispatcher: Any) -> Any:
    """Make the cache of a compiled function depend on the imported files as well."""
    # `_cache_file` exists only with cache=True; numba has no public name for it
    index = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if index is not None:
        path = Path(dispatcher.py_func.__code__.co_filename)
        index._source_stamp = source_stamp(path)
        _make_safe(index)
    return dispatcher


def _make_safe(index: Any) -> None:
    """Make the index of a cache safe against full disks, crashes and damaged files.

    numba numbers the files of compiled code and enters a number in the index before the
    file is written. If a process dies in between, or two processes write at the same
    time, the entry of a function can point at the code of another one. Here the code is
    written first, and its number is a hash of the signature and the source.
    """
    load = index.load

    def load_if_intact(key: Any) -> Any:
        try:
            return load(key)
        except Exception:  # noqa: BLE001 - unpickling damaged bytes raises anything
            return None

    def save_if_possible(key: Any, data: Any) -> None:
        try:
            stored = dict(index._load_index())
        except Exception:  # noqa: BLE001
            stored = {}
        text = repr((key, index._source_stamp)).encode()
        number = int.from_bytes(hashlib.sha256(text).digest()[:6], "little")
        stored[key] = index._data_name(number)
        with suppress(OSError):  # a result needs no cache
            index._save_data(stored[key], data)
            index._save_index(stored)
            _remove_old_code(index, set(stored.values()))

    index.load, index.save = load_if_intact, save_if_possible


def _remove_old_code(index: Any, used: set[str]) -> None:
    """Remove compiled code of a function that its index no longer names."""
    stem = index._index_name.removesuffix(".nbi")
    for path in Path(index._cache_path).glob("*.nbc"):
        if path.name.startswith(f"{stem}.") and path.name not in used:
            path.unlink(missing_ok=True)


def source_stamp(path: Path) -> str:
    """Return a hash of the code of a file and of the files of this package it imports.

    Docstrings, empty lines and comments on separate lines are left out.
    """
    digest = hashlib.sha256()
    for file in sorted(_all_imports(path.resolve())):
        digest.update(_code(file))
    return digest.hexdigest()


@cache
def _code(path: Path) -> bytes:
    """Return a source file without its comments, docstrings and empty lines."""
    text = _read(path).replace(b"\r\n", b"\n")
    return _COMMENT.sub(b"", _DOCSTRING.sub(rb"\1", text))


def _all_imports(path: Path) -> set[Path]:
    """Return a file and all files of the package that it imports, also indirectly."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(_imports(file))
    return found


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    """Return the files of the package that a file imports directly."""
    files = []
    for module, names, plain in _IMPORT.findall(_read(path).decode("utf-8")):
        folder = _ROOT.joinpath(*(module or plain).split(".")[1:])
        parts = re.findall(r"\w+", names)
        files += [folder / f"{name}.py" for name in parts]
        files += [folder / "__init__.py", folder.with_suffix(".py")]
    return tuple(file for file in files if file.is_file())


@cache
def _read(path: Path) -> bytes:
    """Return the content of a file; empty for code in a zip file or notebook."""
    return path.read_bytes() if path.is_file() else b""
