"""Journal of a recording that is being written, so that writing can resume.

The journal contains the number of frames written so far. It is valid only on the same
computer and until it is restarted: data that a process has written survives when the
process is killed, but not a power failure.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

from astrocast.io.writing.files import replacing

#: attribute of an incomplete dataset: the key of its journal
ATTRIBUTE = "astrocast_incomplete"
#: largest difference of the computer's start time, seconds: its clock may be adjusted
START_TOLERANCE = 60.0


@dataclass(frozen=True)
class Resume:
    """The journal of a recording that is being written.

    Parameters
    ----------
    path
        File of the journal.
    key
        Identifies the source of the recording: with another key, writing starts again.
    """

    path: Path
    key: str

    def frames(self) -> int:
        """Return the number of complete frames at the start of the recording."""
        try:
            stored = json.loads(self.path.read_text())
            same = stored["computer"] == platform.node()
            same &= abs(float(stored["started"]) - psutil.boot_time()) < START_TOLERANCE
            return int(stored["frames"]) if same and stored["key"] == self.key else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def note(self, frames: int) -> None:
        """Record that the first ``frames`` frames are written."""
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
