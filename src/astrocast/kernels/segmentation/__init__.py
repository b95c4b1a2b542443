"""From active voxels to separate events."""
