"""Distortions with a local metric: squared error, cross entropy, SSIM, or any function of two batches."""
