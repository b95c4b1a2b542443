"""Background and noise of the latest frames, estimated at regular intervals."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.stretch import Stretch
from astrocast.kernels.calibrated.recent_moments import (
    Piece,
    add_piece,
    recent_moments,
)
from astrocast.live.latest_frames import LatestFrames
from astrocast.runtime.blocks import Block
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.live import LiveSettings

#: frames in a piece of moments; an estimate is made from whole pieces
PIECE = 64
#: an estimate is used from this many frames after its end on, and computed until then
DELAY = 64
#: an estimate is used for at most this many frames after its end
_AHEAD = 1 << 40


@dataclass(frozen=True)
class NoiseModel:
    """Background and noise, for the frames after those of the estimate.

    Parameters
    ----------
    origin
        Number in the recording of frame 0 of the stretch.
    stretch
        The estimate.
    """

    origin: int
    stretch: Stretch

    @property
    def stop(self) -> int:
        """Last frame of the estimate + 1."""
        return self.origin + self.stretch.stop

    def block(self, start: int, stop: int, lead: int, trail: int) -> Block:
        """Return frames of the recording as a block of the stretch."""
        return Block(start - self.origin, stop - self.origin, lead, trail)

    def ending_at(self, frames: int) -> NoiseModel:
        """Return the model for a recording that ends after ``frames`` frames."""
        known = replace(self.stretch, n_frames=frames - self.origin)
        return replace(self, stretch=known)


class LiveNoise:
    """Adds up moments of the latest frames, and makes models from them.

    The frames that a model is made from and used for depend on frame numbers only, not
    on the computing time.

    Parameters
    ----------
    frames
        The latest frames.
    settings, live
        Settings of the detection and of the live analysis.
    pool
        Threads that share the work.
    """

    def __init__(
        self,
        frames: LatestFrames,
        settings: CalibratedSettings,
        live: LiveSettings,
        pool: Executor | None,
    ) -> None:
        self.frames, self.settings, self.live, self.pool = frames, settings, live, pool
        self._pieces: tuple[Piece, ...] = ()
        self._since = 0
        self._background = ThreadPoolExecutor(1, thread_name_prefix="astrocast-noise")
        self._waiting: tuple[int, Future[NoiseModel]] | None = None
        self.model: NoiseModel | None = None
        #: number of models used so far
        self.used = 0

    @property
    def gathered(self) -> int:
        """Number of frames in the moments."""
        return sum(map(len, self._pieces))

    def add(self, stop: int) -> None:
        """Add the piece of frames that ends at ``stop``."""
        piece = self.frames.read(stop - PIECE, stop)
        self._pieces = add_piece(self._pieces, piece, self.live.window, self.pool)
        self._since += PIECE

    def jump(self) -> None:
        """Remove the moments after frames were skipped; the model stays in use."""
        self._settle()
        self._pieces, self._since = (), 0

    def learn(self, stop: int, active: NDArray[np.bool_]) -> None:
        """Make the first model, from all frames so far."""
        self.model = self._estimate(self._pieces, stop, active)
        self.used, self._since = 1, 0

    def begin(self, stop: int, active: NDArray[np.bool_]) -> None:
        """Start to make the next model if enough frames came since the last one.

        Parameters
        ----------
        stop
            Last frame + 1.
        active
            bool (frame,): frames in the moments with a whole-field event.
        """
        enough = self.gathered >= min(self.live.learn, self.live.window)
        if self._since >= self.live.refresh and enough and self._waiting is None:
            self._since = 0
            work = self._background.submit(self._estimate, self._pieces, stop, active)
            self._waiting = stop + DELAY, work

    def update(self, frame: int) -> bool:
        """Use the next model from its frame on; return whether the model changed."""
        if self._waiting is None or frame < self._waiting[0]:
            return False
        self.model = self._waiting[1].result()
        self._waiting = None
        self.used += 1
        return True

    def _estimate(
        self, pieces: tuple[Piece, ...], stop: int, active: NDArray[np.bool_]
    ) -> NoiseModel:
        moments = recent_moments(pieces)
        n = int(moments.edges[-1])
        origin = stop - n
        stretch = Stretch.of_moments(
            moments, (0, n), n + _AHEAD, self.settings, self.pool
        )
        # new frames overwrite the oldest ones during the estimate
        oldest = max(self.frames.begin, stop - self.frames.keep + 2 * PIECE + DELAY)
        since = max(0, oldest + self.settings.reach + 1 - origin)
        view = self.frames.view(origin, stop)
        stretch = stretch.measure_noise_in(
            view, self.settings, self.pool, active, since
        )
        return NoiseModel(origin, stretch)

    def _settle(self) -> None:
        if self._waiting is not None:
            self._waiting[1].result()
            self._waiting = None

    def close(self) -> None:
        """Wait for the work in the background to end."""
        self._settle()
        self._background.shutdown()
