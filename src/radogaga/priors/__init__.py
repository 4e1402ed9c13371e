"""Learned densities of the latents, P(z), each with ``log_prob(z) -> (B,)`` in nats and ``sample(n) -> (n, N)``."""

from radogaga.priors.blend import Blend
from radogaga.priors.factorized import Factorized
from radogaga.priors.kernel import Kernel
from radogaga.priors.mixture import EstimatedMixture, Mixture
from radogaga.priors.normal import Normal
from radogaga.priors.prior import Prior

__all__ = ["Blend", "EstimatedMixture", "Factorized", "Kernel", "Mixture", "Normal", "Prior"]
