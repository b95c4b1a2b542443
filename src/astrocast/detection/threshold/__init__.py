"""Find active voxels by spatial and temporal thresholds."""
