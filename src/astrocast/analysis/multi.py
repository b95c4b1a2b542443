"""Events of many recordings and subjects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from astrocast.analysis.events import Events
from astrocast.errors import DatasetNotFoundError


class MultiEvents(Events):
    """Events of several recordings in one table.

    The index of an event is ``<recording>:<number>``: the name of its directory without
    ``.roi`` (with the folders above it where two have the same name) and its number in
    the event map. It does not depend on the order of the directories, nor on which
    other recordings are loaded.

    Parameters
    ----------
    event_dirs
        Directories that detection made.
    groups, subjects
        Group and subject of each recording, in the order of the directories, or one
        value for all.
    **options
        Those of `Events`; ``data`` and the frame-to-time options may be lists, one per
        directory.

    Examples
    --------
    >>> both = MultiEvents(
    ...     ["a.roi", "b.roi"], groups=["control", "drug"]
    ... )  # doctest: +SKIP
    >>> both.frequency(100, group="group")  # doctest: +SKIP
    """

    def __init__(
        self,
        event_dirs: Sequence[str | Path],
        *,
        groups: Any = None,
        subjects: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(list(event_dirs), group=groups, subject_id=subjects, **options)

    @property
    def names(self) -> list[str]:
        """Names of the recordings."""
        return [source.name for source in self.sources]

    def of(self, name: str) -> Events:
        """Return the events of one recording, with its recording and event map.

        Indices stay as they are.
        """
        chosen = [s for s in self.sources if s.name == name]
        if not chosen:
            raise DatasetNotFoundError(
                f"there is no recording {name!r}; choose from {', '.join(self.names)}"
            )
        one = Events.__new__(Events)
        one.__dict__.update(self.__dict__)
        one.sources, one.event_dir, one._map = chosen, chosen[0].directory, None
        one.events = self.events[self.events["file_name"] == name]
        return one

    def __iter__(self) -> Iterator[Events]:
        return (self.of(name) for name in self.names)
