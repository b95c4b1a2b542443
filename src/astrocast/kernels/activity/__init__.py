"""Active voxels by a threshold in time and space."""
