"""A density of two scales: fine in the bulk of the data, coarse outside of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from radogaga._utils.checks import check_rows
from radogaga._utils.storage import save
from radogaga.method.density.density import Density, Projection, Volume
from radogaga.method.density.residuals import ResidualDistribution
from radogaga.method.objective import RateDistortion
from radogaga.method.priors.stacked import StackedPrior

_STEEPNESS = 20.0
# Share of the held-out rows that the gate is not open for.
_TAIL = 0.2
_MIN_MASS = 0.02


class TwoScaleDensity(nn.Module):
    """Mixture of a coarse density and a fine one that is gated to the bulk of the data.

    ::

        p = (q + f g / Z) / 2,    g = min(1, q / t)^20

    with q the coarse density, f the fine one, t the 20 % quantile of q over held-out rows, and Z the mean of g under f.
    Above t, log p is at most log 2 nats below log(f / Z): rows in the bulk get the fine density. Below t the gate g
    closes within a few nats: outliers are ranked by q, which tells better how far off they are.

    Both densities share one autoencoder. Where the coarse prior is a component of the fine one, it is evaluated once.

    Parameters
    ----------
    coarse : Density
        q, with the residual: of a kernel density and an isotropic residual, for example.
    fine_prior : StackedPrior
        The prior of f.
    fine_residual : GaussianResidual, StudentTResidual or MultiscaleResidual
        The distribution of the residual under f.

    Examples
    --------
    >>> import torch
    >>> from radogaga import (Autoencoder, Density, GaussianNoise, GaussianResidual, KernelDensity, RateDistortion,
    ...                       ResidualMLP, Scaling, SquaredError, StackedPrior, TwoScaleDensity, initialize_pca)
    >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    >>> autoencoder = Autoencoder(ResidualMLP(3, 2), ResidualMLP(2, 3), latents=2, scaling=Scaling.standard(x))
    >>> initialize_pca(autoencoder, x)
    >>> prior = KernelDensity.fit(autoencoder.encode(x).detach())
    >>> model = RateDistortion(autoencoder, prior, SquaredError(), GaussianNoise(std=0.1))
    >>> density = TwoScaleDensity(Density(model, 3), StackedPrior([prior]), GaussianResidual(1))
    >>> density.fit_gate(held_out=density.coarse_log_prob(x), sampled=density.coarse_log_prob(density.fine.sample(50)))
    >>> density.log_prob(x).shape
    torch.Size([200])
    """

    threshold: Tensor
    log_mass: Tensor

    def __init__(self, coarse: Density, fine_prior: StackedPrior, fine_residual: ResidualDistribution) -> None:
        super().__init__()
        self.coarse = coarse
        self.fine_prior = fine_prior
        self.fine_residual = fine_residual
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("log_mass", torch.tensor(math.inf))

    @property
    def fine(self) -> Density:
        """f, which shares the autoencoder."""
        return Density(self.coarse.model.with_prior(self.fine_prior), self.coarse.features, self.fine_residual)

    @property
    def model(self) -> RateDistortion:
        """The model of both densities, with the coarse prior."""
        return self.coarse.model

    @property
    def features(self) -> int:
        """Number of features, M."""
        return self.coarse.features

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.coarse.device

    @torch.no_grad()
    def fit_gate(self, held_out: Tensor, sampled: Tensor) -> None:
        """Set t and Z by log q of held-out rows and of samples from f, ``(n,), (m,)``.

        The gate stays closed if less than a fiftieth of f is in the bulk of q: the two do not fit together then.
        """
        self.threshold.copy_(held_out.quantile(_TAIL))
        mass = self.log_gate(sampled).exp().mean()
        self.log_mass.copy_(mass.log() if mass > _MIN_MASS else mass.new_tensor(math.inf))

    def log_gate(self, coarse: Tensor) -> Tensor:
        """Return log g of log q, ``(B,) -> (B,)``."""
        return -_STEEPNESS * (self.threshold - coarse).clamp_min(0)

    @property
    def gate_closed(self) -> bool:
        """Whether the density is q alone, as before `fit_gate`."""
        return bool(self.log_mass.isinf())

    @torch.no_grad()
    def log_prob(
        self,
        x: ArrayLike | Tensor,
        *,
        volume: Volume = "isometric",
        include_residual: Literal[True] = True,
        batch_size: int = 4096,
    ) -> Tensor:
        """Return the log density of raw rows in nats, always with the residual, ``(n, M) -> (n,)``.

        Raises
        ------
        InputError
            If the rows are not finite numbers in as many columns as the model was made for.
        """
        rows = check_rows(x, columns=self.features).to(self.device)
        return torch.cat([self._log_prob(part, volume) for part in rows.split(batch_size)])

    def coarse_log_prob(self, x: Tensor) -> Tensor:
        """Return log q of raw rows, per unit of scaled rows, ``(B, M) -> (B,)``, with derivatives."""
        return self.coarse.log_joint(self.coarse.project(x))

    @torch.no_grad()
    def sample(self, n: int, *, include_residual: Literal[True] = True) -> Tensor:
        """Return n raw rows, ``(n, M)``: about half from q, the others from f by rejection with the gate."""
        count = n if self.gate_closed else int(torch.rand(n).lt(0.5).sum())
        parts, fine = [self.coarse.sample(count, include_residual=True)], self.fine
        while count < n:
            proposed = fine.sample(n, include_residual=True)
            gate = self.log_gate(self.coarse_log_prob(proposed)).exp()
            kept = proposed[torch.rand_like(gate) < gate][: n - count]
            parts, count = [*parts, kept], count + len(kept)
        x = torch.cat(parts)
        return x[torch.randperm(n, device=x.device)]

    def save(self, folder: str | Path) -> None:
        """Write the density with its model as a folder that `radogaga.load` reads."""
        save(self, folder)

    def log_joint(self, projection: Projection, known: Mapping[nn.Module, Tensor] | None = None) -> Tensor:
        """Return the log density of latents and residual together, ``(B,)``, per unit of scaled rows.

        Of priors that are `known`, the log density of the latents is given already.
        """
        z, residual = projection
        coarse_prior = self.model.prior.log_prob_given(z, known or {})
        joint = coarse_prior + self.coarse.residual.log_prob(residual)
        if self.gate_closed:
            return joint
        fine = self.fine_prior.log_prob_given(z, {self.model.prior: coarse_prior, **(known or {})})
        fine = fine + self.fine_residual.log_prob(residual)
        return torch.logaddexp(joint, fine + self.log_gate(joint) - self.log_mass) - math.log(2)

    def _log_prob(self, x: Tensor, volume: Volume) -> Tensor:
        projection = self.coarse.project(x)
        log_volume = self.coarse.log_volume(projection.z, volume)
        return self.log_joint(projection) + log_volume + self.model.autoencoder.scaling.log_volume(x)
