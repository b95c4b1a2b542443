"""Journal of a recording being written, so that an interrupted process can resume.

A journal beside says how many frames are in place. It is written after them, and
believed only on the same computer since it was started: what a process has written is
there after it was killed, not after the power failed.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

from astrocast.io.writing.files import replacing

#: attribute of an incomplete dataset: which content it is to have
ATTRIBUTE = "astrocast_incomplete"
#: seconds by which the time of the start may differ: the clock is set while a computer
#: runs
START_TOLERANCE = 60.0


@dataclass(frozen=True)
class Resume:
    """The journal of a recording that is being written.

    Parameters
    ----------
    path
        File of the journal.
    key
        Identifies the source of the recording: a target that was begun under another
        key is begun again.
    """

    path: Path
    key: str

    def frames(self) -> int:
        """Return the number of frames, from the first on, that are complete."""
        try:
            stored = json.loads(self.path.read_text())
            same = stored["computer"] == platform.node()
            same &= abs(float(stored["started"]) - psutil.boot_time()) < START_TOLERANCE
            return int(stored["frames"]) if same and stored["key"] == self.key else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def note(self, frames: int) -> None:
        """Take note that ``frames`` frames are in place."""
        content = {
            "key": self.key,
            "frames": frames,
            "computer": platform.node(),
            "started": psutil.boot_time(),
        }
        with replacing(self.path, durable=False) as beside:
            beside.write_text(json.dumps(content))

    def remove(self) -> None:
        """Remove the journal: the recording is complete."""
        self.path.unlink(missing_ok=True)
