"""One tree of errors; each is also the builtin that a caller would expect to catch.

A message says what was found, what was expected and what to do.
"""

from __future__ import annotations

import os
import sys

#: characters of the message of a library that are shown
LONGEST_MESSAGE = 300
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep  # noqa: PTH100, PTH120 - compared as text


class AstrocastError(Exception):
    """Base of every error that astrocast raises on purpose."""

    def __str__(self) -> str:
        # KeyError would show the message in quotes
        return str(self.args[0]) if self.args else ""


class InvalidValueError(AstrocastError, ValueError):
    """An argument or an array has a value that cannot be worked with."""


class InvalidConditionError(InvalidValueError, AssertionError):
    """Arguments that do not fit together; also an `AssertionError`, as documented."""


class InvalidTypeError(AstrocastError, TypeError):
    """An argument is of a type that cannot be worked with."""


class RecordingNotFoundError(AstrocastError, FileNotFoundError):
    """The given path does not exist."""


class DatasetNotFoundError(AstrocastError, KeyError):
    """The file exists, the dataset, channel or column does not; lists what exists."""


class ChoiceError(DatasetNotFoundError, InvalidValueError):
    """A file holds several planes, positions or channels, and none was chosen.

    ``choices`` lists them: "plane", "position" or "channel" -> a name for each.
    """

    def __init__(
        self, message: str, choices: dict[str, tuple[str, ...]] | None = None
    ) -> None:
        super().__init__(message)
        self.choices = choices or {}


class FormatError(AstrocastError, ValueError):
    """A file is not a recording, is damaged, or has an unsupported format."""


class OutputExistsError(AstrocastError, FileExistsError):
    """The output is already there; nothing is overwritten unless asked."""


class OutputError(AstrocastError, OSError):
    """The output cannot be written."""


class ResultsDifferError(AstrocastError, ValueError):
    """Stored results have other parameters or another input; the message says which."""


class NotRunError(AstrocastError, RuntimeError):
    """A result was asked for before it was computed."""


class ClusterError(AstrocastError, RuntimeError):
    """Workers of a cluster could not do a task: memory, storage, or no connection."""


class MissingExtraError(AstrocastError, ImportError):
    """An optional dependency is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed; "
            f"install the extra: pip install 'astrocast[{extra}]'"
        )


class AstrocastWarning(UserWarning):
    """A result is valid, but the user should know something about it."""


def describe_error(error: BaseException) -> str:
    """Return the message of a library's error in one line of at most 300 characters.

    It includes the type of the error where the message alone is not clear.
    """
    text = " ".join(str(error).split())
    if len(text) > LONGEST_MESSAGE:
        text = text[:LONGEST_MESSAGE] + " ..."
    named = isinstance(error, KeyError | IndexError | MemoryError) or len(text) < 4
    return f"{type(error).__name__} {text}".strip() if named else text


def stack_level() -> int:
    """Return the `stacklevel` by which a warning points at the caller's line.

    The number of calls within the package differs from way to way: count them until the
    first line outside of it.
    """
    frame = sys._getframe(1)
    level = 1
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        frame = frame.f_back
        level += 1
    return level


def _is_inside(path: str) -> bool:
    return path.startswith(_PACKAGE)
