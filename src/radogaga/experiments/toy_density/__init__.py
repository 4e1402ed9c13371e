"""Experiment 5.2: density estimation on toy data whose density is known."""
