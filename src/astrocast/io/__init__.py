"""Recordings and results on disk: one file per format, a registry in front."""

from astrocast.io.recording import Metadata, Recording, RecordingWriter
from astrocast.io.registry import create_recording, open_recording

__all__ = [
    "Metadata",
    "Recording",
    "RecordingWriter",
    "create_recording",
    "open_recording",
]
