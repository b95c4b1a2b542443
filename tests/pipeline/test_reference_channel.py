"""Channels of a run that move by the motion of one of them."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from astrocast.io.stores.registration_store import read_registration
from astrocast.pipeline.channel_steps import ChannelSteps, ReferenceMotion
from astrocast.pipeline.settings import RunSettings
from astrocast.preparation import motion_correction


def test_all_channels_move_by_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    scene = rng.random((84, 84)) < 0.04
    steps = rng.integers(-4, 5, (24, 2))
    dye = [300 * scene[10 - r : 74 - r, 10 - c : 74 - c] + 20 for r, c in steps]
    path = tmp_path / "recording.h5"
    with h5py.File(path, "w") as file:
        file["data/ch0"] = rng.poisson(20, (24, 64, 64)).astype(np.uint16)
        file["data/ch1"] = rng.poisson(np.array(dye)).astype(np.uint16)
    settings = RunSettings.checked(
        channel=("ch0", "ch1"),
        motion={"reference_channel": "ch1", "max_shifts": 9, "bidi": "off"},
    )
    estimates, estimate = [], motion_correction.estimate_motion

    def counted(*arguments: Any) -> Any:
        estimates.append(arguments)
        return estimate(*arguments)

    monkeypatch.setattr(motion_correction, "estimate_motion", counted)
    reference = ReferenceMotion()
    facts = [
        ChannelSteps(
            path, settings, channel, channel == "ch0", reference
        ).correct_motion()
        for channel in settings.channels_to_run
    ]
    assert facts[0]["largest_shift_px"] == facts[1]["largest_shift_px"]
    assert facts[0]["line_offset_px"] == 0
    assert len(estimates) == 1  # not once for each channel
    found = [read_registration(path, f"mc/{channel}") for channel in ("ch0", "ch1")]
    assert found[0] is not None
    assert found[1] is not None
    np.testing.assert_array_equal(found[0].shifts, found[1].shifts)
    difference = found[0].shifts - steps
    assert abs(difference - np.median(difference, axis=0)).max() < 0.1
