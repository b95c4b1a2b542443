"""Decisions about events: accepted, rejected, merged, split or drawn by a person.

Decisions form a list that only grows: undo is a decision too. The current state is
computed from the whole list, so no decision is lost, and results of the detection never
change.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError, InvalidValueError
from astrocast.kernels.curation.agreement import Agreement, measure_agreement
from astrocast.kernels.curation.edit_masks import PlacedMask

DecisionKind = Literal[
    "accept", "reject", "clear", "merge", "split", "draw", "undo", "redo"
]
#: state of an event after all decisions; empty: no decision
Status = Literal["", "accepted", "rejected", "merged", "split"]
#: reasons that the web page offers; any other text is allowed
REASONS = ("edge", "truncated", "tiny", "bad frame", "low confidence")


@dataclass(frozen=True)
class MadeEvent:
    """An event made by a person (merged, split or drawn), with its signal.

    Parameters
    ----------
    event
        Number of the event, above the numbers of all detected events.
    placed
        Voxels of the event.
    trace, noise
        float32 (frames,), see `kernels.curation.edit_masks.mask_signals`.
    values
        Values of the columns of the event table that are computed from the movies:
        numbers, text, None, or a list for a trace.
    """

    event: int
    placed: PlacedMask
    trace: NDArray[np.float32]
    noise: NDArray[np.float32]
    values: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the mask is stored as compressed bits."""
        bits = np.packbits(self.placed.mask, axis=None, bitorder="little")
        return {
            "event": self.event,
            "origin": list(self.placed.origin),
            "shape": list(self.placed.mask.shape),
            "mask": base64.b64encode(zlib.compress(bits.tobytes(), 9)).decode(),
            "trace": _plain(self.trace),
            "noise": _plain(self.noise),
            "values": self.values,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """Return the event from the values of `to_dict`."""
        shape = tuple(int(n) for n in stored["shape"])
        bits = np.frombuffer(
            zlib.decompress(base64.b64decode(stored["mask"])), np.uint8
        )
        count = int(np.prod(shape))
        mask = np.unpackbits(bits, count=count, bitorder="little").view(bool)
        z, x, y = (int(v) for v in stored["origin"])
        trace, noise = (
            np.array([np.nan if v is None else v for v in stored[name]], np.float32)
            for name in ("trace", "noise")
        )
        placed = PlacedMask(mask.reshape(shape), (z, x, y))
        values = dict(stored.get("values", {}))
        return cls(int(stored["event"]), placed, trace, noise, values)


def _plain(values: NDArray[np.float32]) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]


@dataclass(frozen=True)
class Decision:
    """A decision about events.

    Parameters
    ----------
    kind
        Kind of the decision. ``clear`` removes accept or reject; ``undo`` and ``redo``
        refer to the previous decision.
    at
        Date and time, ISO 8601 with time zone.
    events
        Numbers of the events concerned.
    reason
        Reason, for ``reject``.
    made
        New events, for ``merge``, ``split`` and ``draw``.
    """

    kind: DecisionKind
    at: str
    events: tuple[int, ...] = ()
    reason: str = ""
    made: tuple[MadeEvent, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "kind": self.kind,
            "at": self.at,
            "events": list(self.events),
            "reason": self.reason,
            "made": [event.to_dict() for event in self.made],
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """Return the decision from the values of `to_dict`.

        Raises
        ------
        FormatError
            The value is not a decision.
        """
        try:
            if stored["kind"] not in get_args(DecisionKind):
                raise FormatError(
                    f"unknown kind of decision {stored['kind']!r}; expected one of"
                    f" {', '.join(get_args(DecisionKind))}"
                )
            return cls(
                stored["kind"],
                str(stored["at"]),
                tuple(int(e) for e in stored.get("events", ())),
                str(stored.get("reason", "")),
                tuple(MadeEvent.from_dict(e) for e in stored.get("made", ())),
            )
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"a decision cannot be read: {error!r}") from error


@dataclass(frozen=True)
class CurationState:
    """The state of all events after a list of decisions.

    Parameters
    ----------
    status
        Status by event number; events without a decision are absent.
    reason
        Reason of the rejection by event number.
    made
        Events made by a person, by event number, also those merged or split later.
    undoable, redoable
        The decision that undo or redo would change, or None.
    next_event
        Number of the next new event; numbers are never used twice.
    """

    status: dict[int, Status] = field(default_factory=dict)
    reason: dict[int, str] = field(default_factory=dict)
    made: dict[int, MadeEvent] = field(default_factory=dict)
    undoable: Decision | None = None
    redoable: Decision | None = None
    next_event: int = 1

    def is_superseded(self, event: int) -> bool:
        """Return whether an event was replaced by others (merged or split)."""
        return self.status.get(event, "") in ("merged", "split")


def apply_decisions(decisions: Iterable[Decision], detected: int) -> CurationState:
    """Return the state of all events after a list of decisions.

    Parameters
    ----------
    decisions
        Decisions in the order in which they were made.
    detected
        Highest number of a detected event.

    Examples
    --------
    >>> no = Decision("reject", "2026-01-01T00:00:00+00:00", (3,), "edge")
    >>> apply_decisions([no], 5).status
    {3: 'rejected'}
    >>> apply_decisions([no, Decision("undo", no.at)], 5).status
    {}
    """
    done: list[Decision] = []
    undone: list[Decision] = []
    highest = detected
    for decision in decisions:
        highest = max([highest, *(event.event for event in decision.made)])
        if decision.kind == "undo":
            undone += [done.pop()] if done else []
        elif decision.kind == "redo":
            done += [undone.pop()] if undone else []
        else:
            done.append(decision)
            undone.clear()
    status: dict[int, Status] = {}
    reason: dict[int, str] = {}
    made: dict[int, MadeEvent] = {}
    for decision in done:
        _apply(decision, status, reason)
        made |= {event.event: event for event in decision.made}
    return CurationState(
        status,
        reason,
        made,
        done[-1] if done else None,
        undone[-1] if undone else None,
        highest + 1,
    )


_BECOMES: dict[str, Status] = {
    "accept": "accepted",
    "reject": "rejected",
    "merge": "merged",
    "split": "split",
}


def _apply(
    decision: Decision, status: dict[int, Status], reason: dict[int, str]
) -> None:
    for event in decision.events:
        reason.pop(event, None)
        if decision.kind == "clear":
            status.pop(event, None)
        elif decision.kind in _BECOMES:
            status[event] = _BECOMES[decision.kind]
        if decision.kind == "reject":
            reason[event] = decision.reason


def compare_curators(
    first: CurationState, second: CurationState, events: Sequence[int]
) -> tuple[Agreement, int]:
    """Return the agreement of two curators, over events with a decision by both.

    Parameters
    ----------
    first, second
        State of each curator, for the same detection.
    events
        Numbers of the detected events.

    Returns
    -------
    agreement : Agreement
        Agreement of the statuses accepted, rejected, merged and split.
    undecided : int
        Number of events without a decision by one or both.
    """
    pairs = [(first.status.get(e, ""), second.status.get(e, "")) for e in events]
    both = [(a, b) for a, b in pairs if a and b]
    found = measure_agreement([a for a, _ in both], [b for _, b in both])
    return found, len(pairs) - len(both)


def check_events(
    state: CurationState, events: Sequence[int], known: Iterable[int]
) -> None:
    """Raise an error unless a decision about ``events`` is possible.

    Raises
    ------
    InvalidValueError
        No event is given, or one does not exist or was replaced by others.
    """
    known = {*known, *state.made}
    unknown = [e for e in events if e not in known]
    gone = [e for e in events if state.is_superseded(e)]
    if not events:
        raise InvalidValueError("choose at least one event")
    if unknown:
        raise InvalidValueError(f"events {unknown} do not exist; choose other events")
    if gone:
        raise InvalidValueError(
            f"events {gone} were merged or split; choose the events that replaced them,"
            " or undo"
        )
