"""From labelled voxels to the event table."""
