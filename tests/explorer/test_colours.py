"""Colours that mean something stay apart for colour-blind people."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

import astrocast.explorer

SCRIPT = Path(astrocast.explorer.__file__).parent / "static" / "js" / "colours.js"
#: what is seen of linear red, green, blue; Machado et al. 2009, severity 1,
#: https://doi.org/10.1109/TVCG.2009.113
SEEN = {
    "all colours": np.eye(3),
    "no red cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue cones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def colours(name: str) -> list[str]:
    """Return the colours of a table of colours.js."""
    text = SCRIPT.read_text(encoding="utf-8")
    found = re.search(rf"export const {name} = ([\[{{].*?[\]}}]);", text, re.DOTALL)
    assert found is not None
    return re.findall(r"#[0-9A-Fa-f]{6}", found[1])


def lab(colour: str, seen: object) -> NDArray[np.float64]:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    mixed = np.clip(np.array(seen) @ linear, 0, 1)
    back = np.where(
        mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055
    )
    return np.asarray(rgb2lab(back))


@pytest.mark.parametrize("name", ["CHANGES", "STATUS", "CATEGORIES"])
@pytest.mark.parametrize("eyes", SEEN)
def test_no_two_colours_look_alike(name: str, eyes: str) -> None:
    chosen = colours(name)
    assert len(chosen) >= 4
    apart = {
        f"{a} {b}": float(deltaE_ciede2000(lab(a, SEEN[eyes]), lab(b, SEEN[eyes])))
        for a, b in combinations(chosen, 2)
    }
    # 2.3 is just seen side by side
    assert min(apart.values()) > 7, json.dumps(apart, indent=1)
