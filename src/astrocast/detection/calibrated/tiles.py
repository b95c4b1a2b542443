"""Candidate voxels of wide frames: searched in tiles, joined over their borders.

Background and noise of a stretch need some hundred images at a time, which is too much
where a frame has millions of pixels. So a wide frame is cut into tiles of about 1,024 x
1,024 pixels, each with its own background and noise, as light, focus and residual
motion differ over so large a field. A tile is computed with a margin around it. The
candidates of all tiles are joined before events are looked for in them, so that an
event that crosses a border is one event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from astrocast.detection.calibrated.candidates import (
    CandidateSearch,
    Heights,
    SearchStretch,
    find_candidates,
)
from astrocast.detection.calibrated.stretch import blocks_of, stretches
from astrocast.detection.checkpoint import CarriedBlocks, Checkpoint
from astrocast.detection.events.segmentation import ACTIVE, Segmentation, join_blocks
from astrocast.io.recording import Recording
from astrocast.io.views import CroppedRecording
from astrocast.kernels.masks.runs import Runs
from astrocast.kernels.masks.tile_runs import cut_frames, join_tile_runs
from astrocast.kernels.segmentation.labelling import label_runs
from astrocast.runtime.blocks import Block, describe_block
from astrocast.runtime.cluster import map_tasks
from astrocast.runtime.memory import scale_to_memory

#: frames with a longer side are cut into tiles of about this side, pixels
UNCUT, SIDE = 1536, 1024
#: pixels around a tile that are computed with it: more than smoothing reaches, and a
#: tile of the background's drift
MARGIN = 16
#: voxels of a block of a tile: tiles are read in deep blocks, as the halo of a block in
#: time is computed again
_TILE_VOXELS = 48 << 20
#: blocks of whole frames, which later stages hold as labels, have fewer voxels
_THIN = 3


@dataclass(frozen=True)
class Tile:
    """A rectangle of a frame, and the rectangle that is computed for it.

    Parameters
    ----------
    rows, columns
        Of the tile itself.
    around_rows, around_columns
        With the margin, as far as the frame reaches.
    """

    rows: slice
    columns: slice
    around_rows: slice
    around_columns: slice

    def border(
        self, border: tuple[int, int, int, int], size: tuple[int, int]
    ) -> tuple[int, int, int, int]:
        """Return the pixels at each side of the margin that are not searched.

        Parameters
        ----------
        border
            Pixels at the top, bottom, left and right of the frame without events.
        size
            Rows and columns of the frame.
        """
        widths = []
        for own, around, (first, last), n in (
            (self.rows, self.around_rows, border[:2], size[0]),
            (self.columns, self.around_columns, border[2:], size[1]),
        ):
            low, high = max(own.start, first), min(own.stop, n - last)
            length = around.stop - around.start
            widths += [
                min(low - around.start, length),
                min(around.stop - max(high, low), length),
            ]
        return widths[0], widths[1], widths[2], widths[3]

    @property
    def own(self) -> tuple[slice, slice]:
        """Rows and columns of the tile, counted within its margin."""
        a, b = self.around_rows.start, self.around_columns.start
        return (
            slice(self.rows.start - a, self.rows.stop - a),
            slice(self.columns.start - b, self.columns.stop - b),
        )


def plan_tiles(size: tuple[int, int]) -> list[Tile]:
    """Return the tiles of frames of some rows and columns, in raster order.

    One tile where the frame is not wide.

    Examples
    --------
    >>> len(plan_tiles((512, 1024))), len(plan_tiles((4096, 4096)))
    (1, 16)
    """
    sides = []
    for n in size:
        count = round(n / SIDE) if n > UNCUT else 1
        edges = [n * i // count for i in range(count + 1)]
        margin = MARGIN if count > 1 else 0
        sides.append(
            [
                (slice(a, b), slice(max(0, a - margin), min(n, b + margin)))
                for a, b in pairwise(edges)
            ]
        )
    return [
        Tile(rows, columns, around_rows, around_columns)
        for rows, around_rows in sides[0]
        for columns, around_columns in sides[1]
    ]


def search_frames(
    recording: Recording, search: CandidateSearch
) -> tuple[Segmentation, float]:
    """Return candidates and excess of fluctuations; of wide frames tile by tile."""
    tiles = plan_tiles(recording.shape[1:])
    if len(tiles) == 1:
        return find_candidates(recording, search)
    return _TiledSearch(recording, search, tiles).run()


class _TiledSearch:
    """The search of all tiles of all stretches, and the union of what they found."""

    def __init__(
        self, recording: Recording, search: CandidateSearch, tiles: list[Tile]
    ) -> None:
        self.recording, self.search, self.tiles = recording, search, tiles
        self.blocks: list[Block] = []
        self.deep: list[list[tuple[int, Block, list[tuple[int, Block]]]]] = []
        settings = search.settings
        largest = max(tiles, key=_pixels)
        shown = CroppedRecording(recording, largest.around_rows, largest.around_columns)
        assert isinstance(search.checkpoint, Checkpoint)
        # an interrupted detection goes on with its own blocks
        most = search.checkpoint.block_voxels(lambda: scale_to_memory(_TILE_VOXELS))
        number = 0
        for start, stop in stretches(len(recording), settings.stretch):
            of_stretch = []
            for block in blocks_of(shown, start, stop, settings.reach + 1, most):
                thin = blocks_of(recording, block.start, block.stop, most=most // _THIN)
                own = list(enumerate(thin, len(self.blocks)))
                self.blocks += thin
                of_stretch.append((number, block, own))
                number += 1
            self.deep.append(of_stretch)

    def run(self) -> tuple[Segmentation, float]:
        """Search what is not done yet, and join it."""
        checkpoint = self.search.checkpoint
        assert isinstance(checkpoint, Checkpoint)
        todo = []
        for of_stretch in self.deep:
            if all(
                checkpoint.has(ACTIVE, i) for _, _, own in of_stretch for i, _ in own
            ):
                frames = of_stretch[-1][1].stop - of_stretch[0][1].start
                self.search.advance(frames)
            else:
                todo.append(of_stretch)
        items = [
            (k, [(number, block) for number, block, _ in of_stretch])
            for of_stretch in todo
            for k in range(len(self.tiles))
        ]
        found = map_tasks(
            SearchTile(self.recording, self.search, self.tiles),
            items,
            self.search.pool,
            recordings=(self.recording,),
            describe=self._describe,
        )
        excess = 0.0
        for (k, _), (slow, carried) in zip(items, found, strict=True):
            excess = max(excess, slow)
            if isinstance(carried, CarriedBlocks):
                checkpoint.take(carried)
            if k == len(self.tiles) - 1:
                self._join(todo.pop(0))
        return join_blocks(checkpoint, self.recording.shape, self.blocks), excess

    def _describe(self, item: tuple[int, list[tuple[int, Block]]]) -> tuple[str, int]:
        tile, (_, block) = self.tiles[item[0]], item[1][0]
        shown = CroppedRecording(self.recording, tile.around_rows, tile.around_columns)
        name, needed = describe_block(shown, block)
        return (
            f"{name}, rows {tile.rows.start}:{tile.rows.stop}, columns"
            f" {tile.columns.start}:{tile.columns.stop}",
            needed,
        )

    def _join(
        self, of_stretch: list[tuple[int, Block, list[tuple[int, Block]]]]
    ) -> None:
        """Join the tiles of a stretch, and store its blocks of whole frames."""
        for number, block, own in of_stretch:
            runs, heights, invalid = self._load(number, block)
            labels, n = label_runs(runs)
            kept = heights.regions_to_keep(runs, labels, n, self.search.threshold)[
                labels
            ]
            heights = heights.of_runs(runs, kept)
            runs = Runs(
                runs.start[kept],
                runs.stop[kept],
                np.concatenate([[0], np.cumsum(kept)])[runs.first],
                runs.shape,
            )
            at = np.concatenate(
                [[0], np.cumsum(runs.stop - runs.start, dtype=np.int64)]
            )
            for index, thin in own:
                part, of_part = cut_frames(
                    runs, thin.start - block.start, thin.stop - block.start
                )
                labels, n = label_runs(part)
                voxels = slice(int(at[of_part.start]), int(at[of_part.stop]))
                self.search.checkpoint.save(
                    ACTIVE,
                    index,
                    start=part.start,
                    stop=part.stop,
                    first=part.first,
                    labels=labels,
                    n=np.array(n),
                    # counted once for all blocks that were searched together
                    invalid=np.array(invalid),
                    **vars(heights.take(voxels)),
                )
                invalid = 0
            self.search.advance(block.stop - block.start)

    def _load(self, number: int, block: Block) -> tuple[Runs, Heights, int]:
        """Return the candidates of all tiles in a block, and its invalid voxels."""
        frames = block.stop - block.start
        parts, stored = [], []
        for k, tile in enumerate(self.tiles):
            found = self.search.checkpoint.load(f"tile{k}", number)
            top, left = tile.around_rows.start, tile.around_columns.start
            size = (tile.around_rows.stop - top, tile.around_columns.stop - left)
            runs = Runs(found["start"], found["stop"], found["first"], (frames, *size))
            parts.append((runs, top, left))
            stored.append(found)
        runs, voxels = join_tile_runs(parts, (frames, *self.recording.shape[1:]))
        whole: Any = {
            name: np.concatenate([found[name] for found in stored])
            for name in ("value", "single", "noise")
        }
        invalid = sum(int(found["invalid"]) for found in stored)
        return runs, Heights(**whole).take(voxels), invalid


class SearchTile:
    """Search a tile of a stretch: what `map_tasks` calls.

    Parameters
    ----------
    recording, search, tiles
        What is searched, how, and all tiles.
    """

    def __init__(
        self, recording: Recording, search: CandidateSearch, tiles: list[Tile]
    ) -> None:
        self.recording, self.search, self.tiles = recording, search, tiles
        self.away = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs, as of the search of a whole frame."""
        return {
            "recording": self.recording,
            "search": SearchStretch(self.recording, self.search).__getstate__()[
                "search"
            ],
            "tiles": self.tiles,
            "away": True,
        }

    def __call__(
        self, item: tuple[int, list[tuple[int, Block]]], pool: Any
    ) -> tuple[float, CarriedBlocks | bool | None]:
        """Return the noise excess of a tile, and its blocks if they travel back."""
        k, blocks = item
        tile = self.tiles[k]
        search = replace(
            self.search,
            step=f"tile{k}",
            own=tile.own,
            whole=False,
            border=tile.border(self.search.border, self.recording.shape[1:]),
            advance=_say_nothing,
        )
        shown = CroppedRecording(self.recording, tile.around_rows, tile.around_columns)
        task = SearchStretch(shown, search)
        span = blocks[0][1].start, blocks[-1][1].stop
        excess, carried = task((span, blocks), pool)
        if self.away:
            self.recording.release()
        return excess, carried


def _pixels(tile: Tile) -> int:
    """Return the pixels of a tile with its margin."""
    rows, columns = tile.around_rows, tile.around_columns
    return (rows.stop - rows.start) * (columns.stop - columns.start)


def _say_nothing(frames: int) -> None:
    """Take note of progress nowhere."""
