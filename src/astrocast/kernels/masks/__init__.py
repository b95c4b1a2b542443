"""Sets of voxels: runs, packed bits, outlines."""
