"""Make the event table from labelled voxels."""
