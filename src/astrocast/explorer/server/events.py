"""The events of a project with the decisions of the curator, for the page."""

from __future__ import annotations

import copy
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis.curated import CURATION_COLUMNS, curated_table
from astrocast.errors import DatasetNotFoundError
from astrocast.events.array_columns import as_masks
from astrocast.events.curation import CurationState, Decision, apply_decisions
from astrocast.events.physiology_schema import physiology_columns
from astrocast.events.schema import COLUMNS, OVERLAP_VOXELS
from astrocast.io.export.tables import scalars
from astrocast.io.stores.curation import (
    append_decision,
    curation_path,
    detection_key,
    read_decisions,
)
from astrocast.io.stores.event_store import DESCRIPTION
from astrocast.io.stores.event_table import read_event_table
from astrocast.kernels.curation.edit_masks import PlacedMask
from astrocast.kernels.masks.packed_masks import unpack_mask
from astrocast.kernels.masks.pixel_outlines import Segments, outline_frames


class EventSet:
    """Detected events, and events made by the curator, after some decisions.

    It never changes: `decide` returns a new one. So a request that reads several parts
    of it gets parts of one state, while another request decides.

    Parameters
    ----------
    store
        Event store.
    shape
        Frames, rows and columns of the recording.
    curator
        Name of the curator whose decisions are read and written.
    """

    def __init__(
        self, store: Path, shape: tuple[int, int, int], curator: str = ""
    ) -> None:
        self.store, self.shape = store, shape
        self.detected = read_event_table(store)
        self.key = detection_key(store)
        self.log = curation_path(store, curator)
        self._apply()

    def _apply(self) -> None:
        """Read the decisions and apply them to the table."""
        decisions, self.other_decisions = read_decisions(self.log, self.key)
        highest = max(self.detected.index.to_list(), default=0)
        state = apply_decisions(decisions, highest)
        table = curated_table(self.detected, state, drop=False)
        gone = table["curation"].isin(["merged", "split"]).to_numpy(bool)
        self.state: CurationState = state
        self.table: pd.DataFrame = table[~gone]
        self.numbers = self.table.index.to_numpy(np.int64)
        self.masks = as_masks(self.table["mask"]).masks
        self.origins = self.table[["z0", "x0", "y0"]].to_numpy(np.int64)
        self.spans = self.table[["z0", "z1"]].to_numpy(np.int64)
        self._boxes = np.concatenate(
            [self.origins, self.origins + self.masks.shapes], 1
        )

    def decide(self, decision: Decision) -> EventSet:
        """Write a decision to the log; return the events after it."""
        append_decision(self.log, self.key, decision)
        after = copy.copy(self)
        after._apply()
        return after

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def descriptions(self) -> dict[str, dict[str, str]]:
        """Return unit and description of each column, from the store and the schema."""
        known = {
            c.name: c.to_dict()
            for c in (
                *physiology_columns(),
                *COLUMNS,
                OVERLAP_VOXELS,
                *CURATION_COLUMNS,
            )
        }
        path = self.store / DESCRIPTION
        if path.is_file():
            stored = json.loads(path.read_text(encoding="utf-8"))
            known |= {c["name"]: c for c in stored}
        return known

    def position(self, event: int) -> int:
        """Return the row of an event in the table."""
        found = np.flatnonzero(self.numbers == event)
        if not len(found):
            raise DatasetNotFoundError(
                f"event {event} does not exist; it may have been merged or split"
            )
        return int(found[0])

    def voxels_of(self, event: int) -> PlacedMask:
        """Return the voxels of an event."""
        i = self.position(event)
        z, x, y = (int(v) for v in self.origins[i])
        return PlacedMask(unpack_mask(self.masks, i), (z, x, y))

    def outlines(self, frame: int | None) -> Segments:
        """Return the outlines in a frame, or of all footprints, in table order."""
        return outline_frames(self.masks, self.origins, frame)

    def at_pixel(self, row: int, column: int) -> list[int]:
        """Return the events at a pixel, sorted by their first frame."""
        low, high = self._boxes[:, 1:3], self._boxes[:, 4:6]
        inside = ((low <= [row, column]) & (high > [row, column])).all(axis=1)
        found = [
            i
            for i in np.flatnonzero(inside).tolist()
            if unpack_mask(self.masks, i)[
                :, row - self.origins[i, 1], column - self.origins[i, 2]
            ].any()
        ]
        found.sort(key=lambda i: int(self.spans[i, 0]))
        return [int(self.numbers[i]) for i in found]

    def same_place(self, event: int) -> list[int]:
        """Return the events with a pixel in common with ``event``, sorted by time.

        They include ``event`` itself.
        """
        i = self.position(event)
        own = np.asarray(unpack_mask(self.masks, i).any(axis=0))
        found = [
            j
            for j in self._touching(i, slice(1, 3), slice(4, 6))
            if self._common(
                i, j, own, np.asarray(unpack_mask(self.masks, j).any(axis=0))
            )
        ]
        found.sort(key=lambda j: (int(self.spans[j, 0]), int(self.numbers[j])))
        return [int(self.numbers[j]) for j in found]

    def sharing(self, event: int) -> dict[int, int]:
        """Return other events with voxels in common: event -> number of voxels."""
        i = self.position(event)
        own = self.voxels_of(event)
        out: dict[int, int] = {}
        for j in self._touching(i, slice(0, 3), slice(3, 6)):
            if j != i:
                common = common_voxels(own, self.voxels_of(int(self.numbers[j])))
                if common:
                    out[int(self.numbers[j])] = common
        return out

    def _touching(self, i: int, low: slice, high: slice) -> list[int]:
        a, b = self._boxes[:, low], self._boxes[:, high]
        overlap = ((a < b[i]) & (b > a[i])).all(axis=1)
        return [int(j) for j in np.flatnonzero(overlap)]

    def _common(
        self, i: int, j: int, own: NDArray[np.bool_], other: NDArray[np.bool_]
    ) -> int:
        first = PlacedMask(own[None], (0, *map(int, self.origins[i, 1:])))  # type: ignore[arg-type]
        second = PlacedMask(other[None], (0, *map(int, self.origins[j, 1:])))  # type: ignore[arg-type]
        return common_voxels(first, second)

    def columns(self) -> list[dict[str, Any]]:
        """Return the columns of numbers and texts: values, unit and description."""
        shown = scalars(self.table)
        return [
            column_to_json(str(name), shown[name], self.descriptions)
            for name in shown
            if name != "event_id"
        ]


def column_to_json(
    name: str, column: pd.Series[Any], descriptions: dict[str, dict[str, str]]
) -> dict[str, Any]:
    """Return a column as plain values; NaN becomes null."""
    known = descriptions.get(name, {})
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    if numeric:
        numbers = column.to_numpy(np.float64)
        values: list[Any] = [
            None
            if not np.isfinite(v)
            else int(v)
            if v.is_integer()
            else float(f"{v:.6g}")
            for v in numbers.tolist()
        ]
    else:
        values = [None if v is None or v != v else str(v) for v in column]
    return {
        "name": name,
        "unit": known.get("unit", ""),
        "description": known.get("description", ""),
        "numeric": numeric,
        "values": values,
    }


def common_voxels(first: PlacedMask, second: PlacedMask) -> int:
    """Return the number of voxels that two masks have in common."""
    low = np.maximum(first.origin, second.origin)
    high = np.minimum(
        np.add(first.origin, first.mask.shape), np.add(second.origin, second.mask.shape)
    )
    if (high <= low).any():
        return 0
    parts = [
        part.mask[
            tuple(
                slice(a - o, b - o)
                for a, b, o in zip(low, high, part.origin, strict=True)
            )
        ]
        for part in (first, second)
    ]
    return int((parts[0] & parts[1]).sum())
