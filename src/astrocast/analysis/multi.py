"""Events of many recordings and subjects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from astrocast.analysis.events import Events
from astrocast.analysis.sources import one_each
from astrocast.errors import DatasetNotFoundError
from astrocast.io.stores.study_index import is_study, list_study_events


class MultiEvents(Events):
    """Events of several recordings in one table.

    The index of an event is ``<recording>:<number>``: the name of its directory without
    ``.roi`` (with the folders above it where two have the same name) and its number in
    the event map. It does not depend on the order of the directories, nor on which
    other recordings are loaded.

    Parameters
    ----------
    event_dirs
        Directories that detection made, or the directory of a study that
        ``astrocast batch`` made: its complete recordings, groups and subjects.
    groups, subjects
        Group and subject of each recording, in the order of the directories, or one
        value for all.
    **options
        Those of `Events`. ``columns`` keeps the memory of many recordings small, see
        also `one_by_one`. ``data`` and the frame-to-time options may be lists, one per
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
        event_dirs: str | Path | Sequence[str | Path],
        *,
        groups: Any = None,
        subjects: Any = None,
        **options: Any,
    ) -> None:
        event_dirs, groups, subjects = _recordings(event_dirs, groups, subjects)
        super().__init__(list(event_dirs), group=groups, subject_id=subjects, **options)

    @classmethod
    def one_by_one(
        cls,
        event_dirs: str | Path | Sequence[str | Path],
        *,
        groups: Any = None,
        subjects: Any = None,
        **options: Any,
    ) -> Iterator[MultiEvents]:
        """Yield the events of one recording after another, each alone in memory.

        Parameters are those of `MultiEvents`; options hold for each recording.
        """
        directories, group, subject = _recordings(event_dirs, groups, subjects)
        count = len(directories)
        per = zip(
            directories,
            one_each(group, count, "groups"),
            one_each(subject, count, "subjects"),
            strict=True,
        )
        for directory, its_group, its_subject in per:
            yield cls([directory], groups=its_group, subjects=its_subject, **options)

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


def _recordings(
    event_dirs: str | Path | Sequence[str | Path], groups: Any, subjects: Any
) -> tuple[list[str | Path], Any, Any]:
    """Return directories, groups and subjects; those of a study where one is named."""
    if not isinstance(event_dirs, (str, Path)):
        return list(event_dirs), groups, subjects
    path = Path(event_dirs)
    if not is_study(path):
        return [path], groups, subjects
    found = list_study_events(path)
    if groups is None:
        groups = [one.labels.get("group") or None for one in found]
    if subjects is None:
        subjects = [one.labels.get("subject") or None for one in found]
    return [one.store for one in found], groups, subjects
