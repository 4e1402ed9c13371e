"""One training loop and what it needs: data, early stopping, checkpoints, a warm-up for mixtures."""
