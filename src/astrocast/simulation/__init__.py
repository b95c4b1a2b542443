"""Simulated recordings with their ground truth."""

from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation.recording import (
    SimulatedRecording,
    Simulation,
    simulate,
    simulate_blocks,
)
from astrocast.simulation.scoring import Score, score
from astrocast.simulation.simulator import SimulationBlock, Simulator
from astrocast.simulation.storage import Truth, read_truth, write_simulation
from astrocast.simulation.truth import COLUMNS

__all__ = [
    "COLUMNS",
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
