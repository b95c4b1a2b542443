"""Detect events in space and time."""

from astrocast.detection.detector import Detector

__all__ = ["Detector"]
