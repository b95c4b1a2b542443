"""Seeded recordings with their ground truth."""

from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation.recording import (
    SimulatedRecording,
    Simulation,
    SimulationBlock,
    Simulator,
    simulate,
    simulate_blocks,
)
from astrocast.simulation.scoring import Score, score
from astrocast.simulation.storage import Truth, read_truth, write_simulation

__all__ = [
    "Score",
    "SimulatedRecording",
    "Simulation",
    "SimulationBlock",
    "SimulationSettings",
    "Simulator",
    "Truth",
    "read_truth",
    "score",
    "simulate",
    "simulate_blocks",
    "write_simulation",
]
