"""A user's own images, read where they lie: which there are, how each becomes an array, and which side of the split it is on."""
