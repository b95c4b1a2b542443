"""Active voxels by the documented thresholds."""
