"""Timing that survives a noisy machine: candidates in turn, medians, ratios."""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def timed(call: Callable[[], Any]) -> float:
    gc.collect()
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def compare(
    title: str,
    ours: Callable[[], Any],
    baseline: Callable[[], Any],
    *,
    baseline_name: str,
    repeats: int = 5,
    work: float = 0.0,
    unit: str = "Mvoxel",
    baseline_share: float = 1.0,
    goal: str = "",
    before: Callable[[], Any] = lambda: None,
) -> float:
    """Time both in turn (after a warm-up of ours) and print the median ratio baseline /
    ours: above 1 we are faster.

    ``work`` is what one call of ours does, in ``unit``; ``baseline_share`` the share of
    that work the baseline does (a slow baseline is timed on a part). ``goal`` is what
    the ratio should reach, for the reader. ``before`` is called before each, untimed.
    """

    def clean(call: Callable[[], Any]) -> float:
        before()
        return timed(call)

    clean(ours)
    pairs = [(clean(ours), clean(baseline) / baseline_share) for _ in range(repeats)]
    ratio = statistics.median(b / a for a, b in pairs)
    fast, slow = (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
    )
    rate = f"  {work / fast:8.1f} {unit}/s" if work else ""
    line(
        title,
        f"{ratio:7.2f} x {baseline_name} ({fast:.3f} s : {slow:.3f} s){rate}",
        goal,
    )
    return ratio


def line(title: str, value: str, goal: str = "") -> None:
    print(f"{title:<58} {value}  {goal}".rstrip(), flush=True)


def heading(text: str) -> None:
    print(f"\n## {text}  ({os.cpu_count()} cores)", flush=True)


def peak_memory(code: str, **values: Any) -> tuple[float, float, Any]:
    """Run ``code`` in a fresh interpreter; return (peak MB, seconds, what it assigned
    to ``result``).

    ``values`` are available in the code as variables (JSON). The peak is the largest
    resident memory of the process, sampled, without pages of memory-mapped files that
    the system may drop (``rss - shared``)."""
    script = f"""
import json, sys, threading, time, psutil
globals().update(json.loads(sys.argv[1]))
process, peak, stop, result = psutil.Process(), 0, threading.Event(), None
def sample():
    global peak
    while not stop.wait(0.01):
        m = process.memory_info(); peak = max(peak, m.rss - getattr(m, "shared", 0))
thread = threading.Thread(target=sample, daemon=True); thread.start()
begin = time.perf_counter()
{code}
spent = time.perf_counter() - begin
stop.set(); thread.join()
print("\\n" + json.dumps([peak / 1e6, spent, result]))
"""
    root = Path(__file__).resolve().parent.parent
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "measure.py"
        path.write_text(script)
        done = subprocess.run(
            [sys.executable, str(path), json.dumps(values)],
            capture_output=True,
            text=True,
            check=False,
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    peak, spent, result = json.loads(done.stdout.strip().splitlines()[-1])
    return peak, spent, result
