"""Experiment 5.3: anomaly detection on four data sets."""
