"""Experiment 5.1: isometry on pictures."""
