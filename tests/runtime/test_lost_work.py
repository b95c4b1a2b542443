"""A process that is killed loses the block that it was at, and no other.

The runs go on in processes of their own: the first is killed in the middle of a block,
the second goes on. Each notes the blocks that it begins.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from astrocast.io import create_recording

MOTION = """
import os, signal, sys, warnings
from pathlib import Path
import astrocast.preparation.motion_estimate as stage
from astrocast.preparation import MotionCorrection

path, log, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
compute = stage.EstimateTask.__call__

def noted(self, frames, block, pool):
    with log.open("a") as file:
        file.write(f"{block.start}\\n")
    if block.start == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return compute(self, frames, block, pool)

stage.EstimateTask.__call__ = noted
stage.block_frames = lambda recording, splits: 16
motion = MotionCorrection(working_directory=path.parent / "work")
motion.run(path, "data/ch0", max_shifts=(4, 4))
"""
DETECTION = """
import os, signal, sys, warnings
from pathlib import Path
import astrocast.detection.calibrated.candidates as stage
from astrocast.detection import Detector

path, log, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
stage._BLOCK_VOXELS = 16 * 32 * 32
look = stage._store_voxels_above_noise

def noted(index, block, *rest):
    with log.open("a") as file:
        file.write(f"{block.start}\\n")
    if block.start == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return look(index, block, *rest)

stage._store_voxels_above_noise = noted
Detector(path, output=path.with_name("events.roi")).run("data/ch0", method="calibrated")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills a process")
@pytest.mark.parametrize("code", [MOTION, DETECTION], ids=["motion", "detection"])
def test_a_killed_run_computes_one_block_again(code: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:32, :32]
    scene = 100 + 40 * np.sin(x / 3) * np.cos(y / 4)
    movie = rng.poisson(scene, (160, 32, 32)).astype(np.uint16)
    path, log = tmp_path / "movie.zarr", tmp_path / "log"
    with create_recording(path, "data/ch0", movie.shape, movie.dtype) as writer:
        writer.write(0, movie)

    def run(kill_at: int) -> int:
        command = [sys.executable, "-W", "ignore", "-c", code]
        done = subprocess.run(
            [*command, str(path), str(log), str(kill_at)], check=False, timeout=300
        )
        return done.returncode

    blocks = list(range(0, 160, 16))
    assert run(96) == -signal.SIGKILL
    assert log.read_text().split() == [str(b) for b in blocks if b <= 96]
    assert run(-1) == 0
    times = Counter(map(int, log.read_text().split()))
    assert sorted(times) == blocks
    assert {block for block, n in times.items() if n > 1} == {96}
    assert times[96] == 2
