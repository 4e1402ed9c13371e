"""The paper's method as composable PyTorch parts: objective, networks, priors, distortions, training, density."""
