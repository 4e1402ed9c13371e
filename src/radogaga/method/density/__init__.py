"""From a density of latents to a density of the data."""
