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
    ``.roi`` (with parent folders if two names are equal), and its number in the event
    map. It does not depend on the order of the directories or on recordings with other
    names.

    Parameters
    ----------
    event_dirs
        Event stores (directories written by the detection), or the directory of a study
        written by ``astrocast batch``: its complete recordings, groups and subjects.
    groups, subjects
        Group and subject of each recording, in the order of the directories, or one
        value for all.
    **options
        Parameters of `Events`. For many recordings, ``columns`` and `one_by_one` save
        memory. ``data`` and the frame-to-time parameters can be lists, one item per
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
        event_dirs, groups, subjects = _list_recordings(event_dirs, groups, subjects)
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
        """Yield the events of each recording in turn; only one is in memory at a time.

        The parameters are those of `MultiEvents`; ``options`` apply to each recording.
        """
        directories, groups, subjects = _list_recordings(event_dirs, groups, subjects)
        count = len(directories)
        recordings = zip(
            directories,
            one_each(groups, count, "groups"),
            one_each(subjects, count, "subjects"),
            strict=True,
        )
        for directory, group, subject in recordings:
            yield cls([directory], groups=group, subjects=subject, **options)

    @property
    def names(self) -> list[str]:
        """Names of the recordings."""
        return [source.name for source in self.sources]

    def of(self, name: str) -> Events:
        """Return the events of one recording, with its recording and event map.

        The index of the events does not change.
        """
        chosen = [s for s in self.sources if s.name == name]
        if not chosen:
            raise DatasetNotFoundError(
                f"the recording {name!r} does not exist; choose from"
                f" {', '.join(self.names)}"
            )
        one = Events.__new__(Events)
        one.__dict__.update(self.__dict__)
        one.sources, one.event_dir, one._map = chosen, chosen[0].directory, None
        one.events = self.events[self.events["file_name"] == name]
        return one

    def __iter__(self) -> Iterator[Events]:
        return (self.of(name) for name in self.names)


def _list_recordings(
    event_dirs: str | Path | Sequence[str | Path], groups: Any, subjects: Any
) -> tuple[list[str | Path], Any, Any]:
    """Return directories, groups and subjects; ``event_dirs`` can be a study."""
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
