"""The rate-distortion objective, per sample and in nats."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from radogaga._utils.storage import save
from radogaga.method import jacobians
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.distortions.distortion import Distortion
from radogaga.method.noise import Noise
from radogaga.method.prior_features import LatentFeatures, PriorFeatures
from radogaga.method.priors.prior import Prior


class Terms(NamedTuple):
    """An objective's terms, each ``(B,)`` in nats, weights included; their sum is the loss."""

    rate: Tensor
    reconstruction: Tensor
    isometry: Tensor

    @property
    def total(self) -> Tensor:
        """The loss of each sample, ``(B,)``."""
        return self.rate + self.reconstruction + self.isometry


class Penalty(Protocol):
    """h in the objective: an increasing function of the reconstruction's distortion."""

    def __call__(self, distortion: Tensor) -> Tensor:
        """Return h(d), elementwise."""


@dataclass(frozen=True)
class Identity:
    """h(d) = d: the authors' RaDOGAGA(d)."""

    def __call__(self, distortion: Tensor) -> Tensor:
        """Return d."""
        return distortion


@dataclass(frozen=True)
class Log:
    """h(d) = log(d + floor): the authors' RaDOGAGA(log d).

    Parameters
    ----------
    floor : float
        Distortion below which the logarithm levels off; the noise's variance is a natural choice.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Log
    >>> Log(floor=1.0)(torch.zeros(1))
    tensor([0.])
    """

    floor: float

    def __call__(self, distortion: Tensor) -> Tensor:
        """Return log(d + floor)."""
        return (distortion + self.floor).log()


class RateDistortion(nn.Module):
    """An autoencoder, a prior, a distortion and a noise, with the objective that makes the latents isometric.

    ::

        x -> scaling -> s --f--> z -----------------g--> s^     reconstruction  l1 h(D1(s, s^))
                                 z + e --+----------g--> s~     isometry        l2 D(s^, s~)
                                         +--> prior             rate            -log P(z + e)

    At its optimum J' A J = I / (2 l2 s2), J the decoder's Jacobian and s2 the noise's variance. With the default
    weights, l2 = 1 / (2 s2) and l1 = 5 l2, a unit step in latent space is a unit step in data space, and the noise's
    standard deviation is the one number to choose: the *resolution*, the size below which details count as noise.

    Parameters
    ----------
    autoencoder : Autoencoder
        Scaling, encoder f and decoder g.
    prior : Prior
        P(z).
    distortion : Distortion
        D, on scaled rows; its metric A is what the latents become isometric to.
    noise : Noise
        e.
    reconstruction_distortion : Distortion, optional
        D1, by default D. The authors take squared error here even where D is 1 - SSIM.
    isometry_weight : float, optional
        l2; by default 1 / (2 s2).
    reconstruction_weight : float, optional
        l1; by default 5 l2.
    penalty : callable
        h.
    isometry_penalty : float
        Weight of an additional penalty on the error of J'AJ, relative to what rate and isometry term cost it; 0 is the
        authors' objective. See the notes.
    noisy_rate : bool
        Whether the rate is taken at z + e (a valid code length, bounded as latents shrink) or at z.
    prior_features : LatentFeatures or ResidualFeatures, optional
        What the prior sees; by default the latents alone.

    Notes
    -----
    With C = 2 l2 s2 J'AJ and E = C - I, rate and isometry term together are (tr C - log det C) / 2 and a constant,
    which near the optimum is |E|^2 / 4 nats. That is half a nat for errors of a twentieth in 32 latents, little beside
    a better reconstruction. A larger l2 does not help, since it only rescales the latents, and a smaller l1 silences
    latents before they are isometric. An isometry penalty k adds k / 4 times `jacobians.isometry_penalty`, whose
    expectation is about |E|^2: the optimum stays where it is, and deviations from it cost 1 + k times as much.

    References
    ----------
    Kato et al., "Rate-distortion optimization guided autoencoder for isometric embedding in Euclidean latent space",
    ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, MLP, GaussianNoise, Normal, RateDistortion, Scaling, SquaredError
    >>> x = torch.randn(8, 4)
    >>> autoencoder = Autoencoder(MLP([4, 2]), MLP([2, 4]), latents=2, scaling=Scaling.standard(x))
    >>> model = RateDistortion(autoencoder, Normal(2), SquaredError(), GaussianNoise(std=0.1))
    >>> model(x).total.shape, round(model.constant, 6)
    (torch.Size([8]), 1.0)
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        prior: Prior,
        distortion: Distortion,
        noise: Noise,
        *,
        reconstruction_distortion: Distortion | None = None,
        isometry_weight: float | None = None,
        reconstruction_weight: float | None = None,
        penalty: Penalty | None = None,
        isometry_penalty: float = 0.0,
        noisy_rate: bool = True,
        prior_features: PriorFeatures | None = None,
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.prior = prior
        self.distortion = distortion
        self.noise = noise
        self.reconstruction_distortion = distortion if reconstruction_distortion is None else reconstruction_distortion
        self.isometry_weight = 1 / (2 * noise.variance) if isometry_weight is None else isometry_weight
        self.reconstruction_weight = (
            5 * self.isometry_weight if reconstruction_weight is None else reconstruction_weight
        )
        self.penalty = Identity() if penalty is None else penalty
        self.isometry_penalty = isometry_penalty
        self.noisy_rate = noisy_rate
        self.prior_features = LatentFeatures() if prior_features is None else prior_features

    @property
    def constant(self) -> float:
        """2 l2 s2: at the optimum J' A J times this is the identity."""
        return 2 * self.isometry_weight * self.noise.variance

    def forward(self, x: Tensor) -> Terms:
        """Return the terms of raw rows, ``(B, M) -> 3 x (B,)``."""
        s = self.autoencoder.scaling(x)
        z = self.autoencoder.encode_scaled(s)
        noisy = z + self.noise(z)
        # One pass through the decoder for both: small networks spend their time on calls, not on arithmetic.
        reconstructed, perturbed = self.autoencoder.decode_scaled(torch.cat([z, noisy])).to(s.dtype).chunk(2)
        penalty = self._penalty(z)
        # Distortions are small differences of large numbers: full precision, whatever the networks compute in.
        with torch.autocast(s.device.type, enabled=False):
            return Terms(
                rate=-self.prior.log_prob(self.prior_features(noisy if self.noisy_rate else z, s, reconstructed)),
                reconstruction=self.reconstruction_weight
                * self.penalty(self.reconstruction_distortion(s, reconstructed)),
                isometry=self.isometry_weight * self.distortion(reconstructed, perturbed) + penalty,
            )

    def rate(self, x: Tensor) -> Tensor:
        """Return the differential rate -log P(z) at clean latents in nats, ``(B, M) -> (B,)``."""
        rate: Tensor = -self.prior.log_prob(self.features(x))
        return rate

    def features(self, x: Tensor) -> Tensor:
        """Return what the prior sees of raw rows, ``(B, M) -> (B, N)`` or, with the residual, ``(B, N + 2)``."""
        s = self.autoencoder.scaling(x)
        z = self.autoencoder.encode_scaled(s)
        if isinstance(self.prior_features, LatentFeatures):
            return z
        return self.prior_features(z, s, self.autoencoder.decode_scaled(z))

    def with_prior(self, prior: Prior) -> RateDistortion:
        """Return the same model with another prior; both share all other parts."""
        other = copy.copy(self)
        # A shallow copy would share the dictionary of submodules.
        other._modules = {**self._modules, "prior": prior}
        return other

    def unit_scale_log(self) -> float:
        """Return (N / 2) log(2 l2 s2), in nats: log P(z) plus this is the log density on the manifold."""
        return 0.5 * self.autoencoder.latents * math.log(self.constant)

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder of safetensors and JSON; `radogaga.load` reads it back to the last bit."""
        save(self, folder)

    def _penalty(self, z: Tensor) -> Tensor:
        """Return the isometry penalty with its weight, ``(B, N) -> (B,)``."""
        if not self.isometry_penalty:
            return z.new_zeros(len(z))
        decode, weight = self.autoencoder.decode_scaled, self.isometry_penalty / 4
        return weight * jacobians.isometry_penalty(decode, self.distortion, z, self.constant)
