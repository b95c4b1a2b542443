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

__all__ = [
    "Score",
    "SimulatedRecording",
    "Simulation",
    "SimulationBlock",
    "SimulationSettings",
    "Simulator",
    "score",
    "simulate",
    "simulate_blocks",
]
