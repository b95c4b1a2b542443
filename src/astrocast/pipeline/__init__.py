"""Run all stages on a recording, from one checked configuration."""
