"""Run stages: in blocks, with progress, with a record of parameters."""
