"""When two hills of a signal are parts of one event: the numbers of the rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class JoinRule:
    """How much lower than two hills a border may be, as a share of the lower hill.

    Parameters
    ----------
    dips
        A border in space, and one in time (both hills lie at the same place).
    doubts
        Allowance for noise, in standard deviations: of the upper part of a border, and
        of its pass.
    front
        A border in space that a front crosses: its onset difference is at most
        ``smooth`` times that inside, and a front moves in both hills: the onset
        differs inside by at least ``moving`` frames, or by ``steady`` frames in the
        mean in one direction (noise has no direction).
    same_moment
        A border across which the onset differs by at most ``moment`` frames.
    peaks
        A border in time within which the signal does not fall below half.
    jump
        A border in space across which the onset differs by more than this many times
        what it does inside (or ``floor`` frames) is never opened.
    """

    dips: tuple[float, float] = (0.04, 0.2)
    doubts: tuple[float, float] = (0.4, 4.5)
    front: float = 0.6
    same_moment: float = 0.3
    peaks: float = 0.28
    smooth: float = 4.0
    moving: float = 0.8
    moment: float = 1.25
    jump: float = 10.0
    floor: float = 0.3
    steady: float = 0.7

    @property
    def numbers(self) -> NDArray[np.float64]:
        """All values of the rule, as the compiled kernel takes them."""
        return np.array(
            [
                *self.dips,
                *self.doubts,
                self.front,
                self.same_moment,
                self.peaks,
                self.smooth,
                self.moving,
                self.moment,
                self.jump,
                self.floor,
                self.steady,
            ]
        )
