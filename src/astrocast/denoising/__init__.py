"""Learn the signal from the recording itself."""
