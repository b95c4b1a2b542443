"""Results of a motion correction: shifts, template, quality."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import NotRunError
from astrocast.io.stores.registration_store import Registration
from astrocast.kernels.registration.engine import dense_field
from astrocast.preparation.motion_estimate import Motion
from astrocast.preparation.motion_moving import build_registration, describe_motion
from astrocast.settings.motion import MotionSettings


class MotionResults:
    """Results of `MotionCorrection.run`; before `run` they raise `NotRunError`."""

    settings: MotionSettings
    _motion: Motion | None
    _line_offset: float

    def summary(self) -> str:
        """Return one line: largest shift, frames left out and repaired, crispness."""
        return describe_motion(self._computed_motion(), self.line_offset)

    def _computed_motion(self) -> Motion:
        if self._motion is None:
            raise NotRunError("no motion was estimated yet: call run() first")
        return self._motion

    @property
    def shifts(self) -> NDArray[np.float64]:
        """Shift of every frame (frame, 2), pixels."""
        return self._computed_motion().shifts

    @property
    def fields(self) -> NDArray[np.float32] | None:
        """Shifts of the patches, (frame, 2, patch row, patch column), in pixels.

        None after rigid correction.
        """
        return self._computed_motion().fields if self.settings.has_field else None

    @property
    def template(self) -> NDArray[np.float32]:
        """Mean of the aligned sample (row, column)."""
        return self._computed_motion().template

    @property
    def quality(self) -> dict[str, NDArray[Any]]:
        """Values per frame by name: correlations, residual, ``bad_frame``."""
        return self._computed_motion().quality

    @property
    def frame_quality(self) -> pd.DataFrame:
        """The table of bad frames: ``frame``, ``kind``, ``reason``, ``severity``."""
        return self._computed_motion().frame_table.copy()

    @property
    def bad_frames(self) -> NDArray[np.bool_]:
        """Frames whose shift cannot be trusted (frame,)."""
        return self._computed_motion().quality["bad_frame"]

    @property
    def line_offset(self) -> float:
        """Corrected displacement of the odd lines in pixels; 0 if none."""
        self._computed_motion()
        return self._line_offset

    @property
    def border(self) -> tuple[int, int, int, int]:
        """Number of invalid pixels at (top, bottom, left, right)."""
        return self._computed_motion().border

    @property
    def crispness(self) -> tuple[float, float]:
        """Crispness of the mean image (before, after) the correction."""
        return self._computed_motion().crispness

    def field_at(self, frame: int) -> NDArray[np.float32]:
        """Return the shift of each pixel of a corrected frame, (2, row, column), px.

        After rigid correction all pixels have the same shift.
        """
        motion = self._computed_motion()
        if self.fields is None:
            return np.broadcast_to(
                motion.shifts[frame, :, None, None], (2, *motion.template.shape)
            ).astype(np.float32)
        return dense_field(motion.fields[frame], motion.model, motion.template.shape)

    @property
    def registration(self) -> Registration:
        """The registration that is stored beside the corrected movie."""
        return build_registration(
            self._computed_motion(), self.settings, self.line_offset
        )
