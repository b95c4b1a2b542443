"""Background and noise of the latest frames, estimated again and again."""

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

#: frames of a piece of moments; estimates begin and end where pieces do
PIECE = 64
#: frames after the last one of an estimate until it is used: it is computed meanwhile
DELAY = 64
#: frames that an estimate may be used for after its end, at most
_AHEAD = 1 << 40


@dataclass(frozen=True)
class NoiseModel:
    """Background and noise, for frames from the end of what they were estimated from.

    Parameters
    ----------
    origin
        Frame of the recording that frame 0 of the stretch is.
    stretch
        The estimate.
    """

    origin: int
    stretch: Stretch

    @property
    def stop(self) -> int:
        """The frame after the last one that it was estimated from."""
        return self.origin + self.stretch.stop

    def block(self, start: int, stop: int, lead: int, trail: int) -> Block:
        """Return frames of the recording as a block of the stretch."""
        return Block(start - self.origin, stop - self.origin, lead, trail)

    def ending_at(self, frames: int) -> NoiseModel:
        """Return the model for a recording that ends after ``frames`` frames."""
        known = replace(self.stretch, n_frames=frames - self.origin)
        return replace(self, stretch=known)


class LiveNoise:
    """Keeps moments of the latest frames, and makes models of them.

    Which frames a model is made from and used for depends on the numbers of frames
    only, not on the time that it takes.

    Parameters
    ----------
    frames
        The latest frames.
    settings, live
        Of the detection, and of the live analysis.
    pool
        Threads to share the work with.
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
        self._behind = ThreadPoolExecutor(1, thread_name_prefix="astrocast-noise")
        self._waiting: tuple[int, Future[NoiseModel]] | None = None
        self.model: NoiseModel | None = None
        #: how many models were used so far
        self.used = 0

    @property
    def gathered(self) -> int:
        """Frames in the moments."""
        return sum(map(len, self._pieces))

    def add(self, stop: int) -> None:
        """Add the piece of frames that ends at ``stop``."""
        piece = self.frames.read(stop - PIECE, stop)
        self._pieces = add_piece(self._pieces, piece, self.live.window, self.pool)
        self._since += PIECE

    def jump(self) -> None:
        """Begin anew after frames were left out; the model is kept until then."""
        self._settle()
        self._pieces, self._since = (), 0

    def learn(self, stop: int, active: NDArray[np.bool_]) -> None:
        """Make the first model, from all frames so far."""
        self.model = self._estimate(self._pieces, stop, active)
        self.used, self._since = 1, 0

    def begin(self, stop: int, active: NDArray[np.bool_]) -> None:
        """Begin to make the next model where enough frames came since the last one.

        Parameters
        ----------
        stop
            The frame after the last one.
        active
            Whether the whole field is active in each of the frames in the moments.
        """
        enough = self.gathered >= min(self.live.learn, self.live.window)
        if self._since >= self.live.refresh and enough and self._waiting is None:
            self._since = 0
            work = self._behind.submit(self._estimate, self._pieces, stop, active)
            self._waiting = stop + DELAY, work

    def update(self, frame: int) -> bool:
        """Use the new model from its frame on; return whether it changed."""
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
        # frames that come meanwhile overwrite the oldest ones
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
        """Wait for what is under way."""
        self._settle()
        self._behind.shutdown()
