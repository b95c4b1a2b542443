"""Read and write recordings and results; `open_recording` finds the format."""

from astrocast.io.recording import Metadata, Recording, RecordingWriter
from astrocast.io.registry import create_recording, open_recording

__all__ = [
    "Metadata",
    "Recording",
    "RecordingWriter",
    "create_recording",
    "open_recording",
]
