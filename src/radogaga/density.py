"""From latent density to data density: the volume factor, the residual across the manifold, the units."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from radogaga.errors import InputError, as_rows
from radogaga.guard import Guard
from radogaga.objective import RateDistortion
from radogaga.priors import Blend
from radogaga.priors.gaussians import robust_cholesky
from radogaga.residuals import NormalResidual, Residuals
from radogaga.storage import save
from radogaga.tangents import gram, jacobian

Volume = Literal["constant", "exact"]


class Density(nn.Module):
    """The data's log density under a trained model, in nats and in the data's own units.

    On the manifold, log p(x) = log P(z) + V with the volume factor V either the *constant* (N / 2) log(2 l2 s2) that
    isometry promises, or *exact*, -1/2 log det J' A J by Jacobian: a flat latent space cannot be isometric to an
    intrinsically curved manifold, and there only the exact factor holds. With `across`, a density of the residual
    x - x^ in the M - N directions off the manifold is added, by default a normal one: a density on all of R^M,
    probabilistic PCA with curves.

    Densities on the manifold are per unit of the distortion's own length; under squared error and a uniform scaling
    that is a length in the data, under any other scaling it is a length in scaled units.

    Parameters
    ----------
    model : RateDistortion
        A trained model.
    features : int
        Number of features, M.
    residuals : NormalResidual or StudentResidual, optional
        The law of the residual, for M - N directions; by default normal.
    guard : Guard, optional
        Makes of prior (a `Blend`) and residual, across the manifold too, one law with a coarser one.

    Examples
    --------
    >>> import torch
    >>> from radogaga import (Autoencoder, Density, Gaussian, Normal, RateDistortion, Residual, Scaling, SquaredError,
    ...                       start_as_pca)
    >>> x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    >>> autoencoder = Autoencoder(Residual(4, 2), Residual(2, 4), latents=2, scaling=Scaling.standard(x))
    >>> start_as_pca(autoencoder, x)
    >>> density = Density(RateDistortion(autoencoder, Normal(2), SquaredError(), Gaussian(std=0.1)), features=4)
    >>> density.calibrate(x)
    >>> density.log_prob(x).shape, density.log_prob(x, volume="exact", across=True).shape
    (torch.Size([500]), torch.Size([500]))
    """

    def __init__(
        self, model: RateDistortion, features: int, residuals: Residuals | None = None, guard: Guard | None = None
    ) -> None:
        super().__init__()
        if model.with_residual:
            raise InputError(
                "Expected a model whose prior sees latents alone; got one that sees the residual too, which is no "
                "density of the data. Use -model.rate(x) as its score."
            )
        self.model = model
        self.features = features
        self.residuals = NormalResidual(features - model.autoencoder.latents) if residuals is None else residuals
        self.guard = guard

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Fit the law of the residual to raw rows."""
        autoencoder = self.model.autoencoder
        s = autoencoder.scaling(x)
        self.residuals.fit(s - autoencoder.decode_scaled(autoencoder.encode_scaled(s)))

    @torch.no_grad()
    def log_prob(
        self, x: ArrayLike | Tensor, *, volume: Volume = "constant", across: bool = False, batch_size: int = 4096
    ) -> Tensor:
        """Return the log density of raw rows in nats, ``(n, M) -> (n,)``; higher is more normal.

        Raises
        ------
        InputError
            If the rows are not finite numbers in as many columns as the model was made for.
        """
        rows = as_rows(x, columns=self.features).to(self.model.autoencoder.log_gain.device)
        return torch.cat([self._log_prob(part, volume, across) for part in rows.split(batch_size)])

    @torch.no_grad()
    def sample(self, n: int, *, across: bool = False) -> Tensor:
        """Return n raw rows, ``(n, M)``, on the manifold or with the residual's noise across it."""
        if across and self.guard is not None:
            return self._sample_guarded(n, self.guard)
        return self._sample(n, self.model.prior, self.residuals if across else None)

    def _sample_guarded(self, n: int, guard: Guard) -> Tensor:
        """Draw half of the rows from the coarse law, the others from the fine one until the guard lets them in."""
        prior = self.model.prior
        assert isinstance(prior, Blend)
        count = n if guard.shut else int(torch.rand(n).lt(0.5).sum())
        parts = [self._sample(count, prior.members[0], guard.residuals)]
        while count < n:
            drawn = self._sample(n, prior, self.residuals)
            let_in = guard.let_in(self.coarse_log_prob(drawn)).exp()
            kept = drawn[torch.rand_like(let_in) < let_in][: n - count]
            parts, count = [*parts, kept], count + len(kept)
        x = torch.cat(parts)
        return x[torch.randperm(n, device=x.device)]

    def _sample(self, n: int, prior: nn.Module, residuals: Residuals | None) -> Tensor:
        z: Tensor = prior.sample(n)  # type: ignore[operator]
        s = self.model.autoencoder.decode_scaled(z)
        if residuals is not None:
            noise = residuals.sample(s)
            # Along the manifold the latents have spread already: noise only in the directions across it.
            tangent = torch.linalg.qr(jacobian(self.model.autoencoder.decode_scaled, z)[1].permute(1, 2, 0)).Q
            s = s + noise - (tangent @ (tangent.mT @ noise[..., None]))[..., 0]
        return self.model.autoencoder.scaling.inverse(s)

    def save(self, folder: str | Path) -> None:
        """Write the density with its model as a folder of safetensors and JSON."""
        save(self, folder)

    def _log_prob(self, x: Tensor, volume: Volume, across: bool) -> Tensor:
        autoencoder = self.model.autoencoder
        s = autoencoder.scaling(x)
        z = autoencoder.encode_scaled(s)
        log_volume = self._log_volume(z, volume)
        if across:
            residual = s - autoencoder.decode_scaled(z)
            return self._log_joint(z, residual) + log_volume + autoencoder.scaling.log_volume(x)
        log_density = self.model.prior.log_prob(z) + log_volume
        if autoencoder.scaling.uniform:
            log_density = log_density - z.shape[1] * autoencoder.scaling.factor[0].log()
        return log_density

    def _log_joint(self, z: Tensor, residual: Tensor) -> Tensor:
        """Return the log density of latents and residual, ``(B, N), (B, M) -> (B,)``."""
        prior = self.model.prior
        if self.guard is None:
            return prior.log_prob(z) + self.residuals.log_prob(residual)
        assert isinstance(prior, Blend)
        return self.guard.log_prob(prior, self.residuals, z, residual)

    def coarse_log_prob(self, x: Tensor) -> Tensor:
        """Return the log density of raw rows' latents and residual under the coarse law, ``(n, M) -> (n,)``."""
        autoencoder, prior = self.model.autoencoder, self.model.prior
        assert self.guard is not None
        assert isinstance(prior, Blend)
        s = autoencoder.scaling(x)
        z = autoencoder.encode_scaled(s)
        return self.guard.coarse(prior, z, s - autoencoder.decode_scaled(z))

    def _log_volume(self, z: Tensor, volume: Volume) -> Tensor:
        if volume == "constant":
            return torch.full((len(z),), self.model.unit_scale_log(), dtype=z.dtype, device=z.device)
        grams = gram(self.model.autoencoder.decode_scaled, self.model.distortion, z)
        return -robust_cholesky(grams).diagonal(dim1=1, dim2=2).log().sum(1)
