"""Draw how often events of a confidence are events: ``make_reliability.py JSON``.

The JSON is written by ``python -m astrocast.simulation.benchmark --json``.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from astrocast.simulation.benchmark import EDGES


def main(sources: list[str]) -> None:
    """Write ``reliability.png`` beside this file; one curve for each file."""
    figure = Figure(figsize=(5.4, 4.6), layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=2, label="right")
    for path, colour in zip(sources, ("#0072b2", "#d55e00"), strict=False):
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
        pairs = [pair for row in rows for pair in row["confidence"]]
        stated = np.array([value for value, _ in pairs], float)
        true = np.array([nature != "false" for _, nature in pairs])
        for low, high in pairwise(EDGES):
            last = high == EDGES[-1]
            own = (stated >= low) & ((stated <= high) if last else (stated < high))
            n = int(own.sum())
            if not n:
                continue
            share, mean = float(true[own].mean()), float(stated[own].mean())
            # interval of Wilson (1927), 95 %
            z = 1.96
            middle = (share + z * z / (2 * n)) / (1 + z * z / n)
            half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
            half /= 1 + z * z / n
            ax.plot([mean, mean], [middle - half, middle + half], color=colour, lw=1)
            ax.plot(mean, share, "o", color=colour, markersize=5)
            ax.annotate(
                f"{n}",
                (mean, share),
                fontsize=7,
                xytext=(5, -8),
                color=colour,
                textcoords="offset points",
            )
        ax.plot([], [], "o", color=colour, label=Path(path).stem)
    ax.set(
        xlabel="mean confidence of the events", ylabel="share of them that are events"
    )
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02))
    ax.legend(frameon=False, loc="upper left")
    figure.savefig(Path(__file__).with_name("reliability.png"), dpi=90)


if __name__ == "__main__":
    main(sys.argv[1:])
