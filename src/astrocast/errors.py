"""The errors of astrocast; each is also a builtin error that callers expect.

A message says what was found, what was expected and what to do.
"""

from __future__ import annotations

import os
import sys

#: at most this many characters of a library's message are shown
LONGEST_MESSAGE = 300
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep  # noqa: PTH100, PTH120 - compared as text


class AstrocastError(Exception):
    """Base of every error that astrocast raises on purpose."""

    def __str__(self) -> str:
        # KeyError would show the message in quotes
        return str(self.args[0]) if self.args else ""


class InvalidValueError(AstrocastError, ValueError):
    """An argument or an array has an invalid value."""


class InvalidConditionError(InvalidValueError, AssertionError):
    """Arguments contradict each other; also an `AssertionError`, as documented."""


class InvalidTypeError(AstrocastError, TypeError):
    """An argument has an invalid type."""


class RecordingNotFoundError(AstrocastError, FileNotFoundError):
    """The given path does not exist."""


class DatasetNotFoundError(AstrocastError, KeyError):
    """A dataset, channel or column does not exist; the message lists existing ones."""


class ChoiceError(DatasetNotFoundError, InvalidValueError):
    """A file contains several planes, positions or channels, and none was chosen.

    ``choices``: names by "plane", "position" or "channel".
    """

    def __init__(
        self, message: str, choices: dict[str, tuple[str, ...]] | None = None
    ) -> None:
        super().__init__(message)
        self.choices = choices or {}


class FormatError(AstrocastError, ValueError):
    """A file is not a recording, is damaged, or has an unsupported format."""


class OutputExistsError(AstrocastError, FileExistsError):
    """The output exists already and is not overwritten without permission."""


class OutputError(AstrocastError, OSError):
    """The output cannot be written."""


class ResultsDifferError(AstrocastError, ValueError):
    """Stored results have other parameters or another input; the message lists them."""


class NotRunError(AstrocastError, RuntimeError):
    """A result was requested before it was computed."""


class ClusterError(AstrocastError, RuntimeError):
    """Workers of a cluster cannot compute a task: memory, storage or connection."""


class MissingExtraError(AstrocastError, ImportError):
    """An optional dependency is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed; "
            f"install the extra: pip install 'astrocast[{extra}]'"
        )


class AstrocastWarning(UserWarning):
    """A result is valid, but has a limitation that the user should know."""


def describe_error(error: BaseException) -> str:
    """Return the message of a library's error in one line of at most 300 characters.

    The type of the error is added if the message alone is not clear.
    """
    text = " ".join(str(error).split())
    if len(text) > LONGEST_MESSAGE:
        text = text[:LONGEST_MESSAGE] + " ..."
    named = isinstance(error, KeyError | IndexError | MemoryError) or len(text) < 4
    return f"{type(error).__name__} {text}".strip() if named else text


def stack_level() -> int:
    """Return the `stacklevel` with which a warning points at the user's line.

    It is the number of calls up to the first one outside of this package.
    """
    frame = sys._getframe(1)
    level = 1
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        frame = frame.f_back
        level += 1
    return level


def _is_inside(path: str) -> bool:
    return path.startswith(_PACKAGE)
