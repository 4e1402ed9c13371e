"""Densities of the latents: normal, factorized, Gaussian mixture, kernel density, and a stack of several."""
