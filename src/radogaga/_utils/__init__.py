"""What every room may use: checks, batches, files, random state, linear algebra. Knows nothing of the method."""
