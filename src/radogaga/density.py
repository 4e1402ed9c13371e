"""From latent density to data density: the volume factor, the residual across the manifold, the units."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from radogaga.errors import as_rows
from radogaga.isometry import gram, jacobian
from radogaga.objective import RateDistortion
from radogaga.priors.gaussians import robust_cholesky
from radogaga.storage import save

Volume = Literal["constant", "exact"]


class Density(nn.Module):
    """The data's log density under a trained model, in nats and in the data's own units.

    On the manifold, log p(x) = log P(z) + V with the volume factor V either the *constant* (N / 2) log(2 l2 s2) that
    isometry promises, or *exact*, -1/2 log det J' A J by Jacobian: a flat latent space cannot be isometric to an
    intrinsically curved manifold, and there only the exact factor holds. With `across`, an isotropic normal density
    of the residual x - x^ in the M - N directions off the manifold is added: a density on all of R^M, probabilistic
    PCA with curves.

    Densities on the manifold are per unit of the distortion's own length; under squared error and a uniform scaling
    that is a length in the data, under any other scaling it is a length in scaled units.

    Parameters
    ----------
    model : RateDistortion
        A trained model.
    features : int
        Number of features, M.

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

    residual_variance: Tensor

    def __init__(self, model: RateDistortion, features: int) -> None:
        super().__init__()
        self.model = model
        self.features = features
        self.register_buffer("residual_variance", torch.ones(()))

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Set the residual's variance to its mean square over raw rows, for each direction off the manifold."""
        autoencoder = self.model.autoencoder
        s = autoencoder.scaling(x)
        squares = (s - autoencoder.decode_scaled(autoencoder.encode_scaled(s))).square().sum(1).mean()
        self.residual_variance.copy_((squares / max(self._codimension, 1)).clamp_min(1e-12))

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
        rows = as_rows(x, columns=self.features).to(self.residual_variance.device)
        return torch.cat([self._log_prob(part, volume, across) for part in rows.split(batch_size)])

    @torch.no_grad()
    def sample(self, n: int, *, across: bool = False) -> Tensor:
        """Return n raw rows, ``(n, M)``, on the manifold or with the residual's noise across it."""
        z = self.model.prior.sample(n)
        s = self.model.autoencoder.decode_scaled(z)
        if across:
            noise = torch.randn_like(s) * self.residual_variance.sqrt()
            # Along the manifold the latents have spread already: noise only in the directions across it.
            tangent = torch.linalg.qr(jacobian(self.model.autoencoder.decode_scaled, z)[1].permute(1, 2, 0)).Q
            s = s + noise - (tangent @ (tangent.mT @ noise[..., None]))[..., 0]
        return self.model.autoencoder.scaling.inverse(s)

    def save(self, folder: str | Path) -> None:
        """Write the density with its model as a folder of safetensors and JSON."""
        save(self, folder)

    @property
    def _codimension(self) -> int:
        return self.features - self.model.autoencoder.latents

    def _log_prob(self, x: Tensor, volume: Volume, across: bool) -> Tensor:
        autoencoder = self.model.autoencoder
        s = autoencoder.scaling(x)
        z = autoencoder.encode_scaled(s)
        log_density = self.model.prior.log_prob(z) + self._log_volume(z, volume)
        if across:
            log_density = log_density + self._residual_log_prob(s - autoencoder.decode_scaled(z))
            return log_density - autoencoder.scaling.factor.log().sum()
        if autoencoder.scaling.uniform:
            log_density = log_density - z.shape[1] * autoencoder.scaling.factor[0].log()
        return log_density

    def _residual_log_prob(self, residual: Tensor) -> Tensor:
        squares = residual.square().sum(1) / self.residual_variance
        return -0.5 * (squares + self._codimension * (2 * math.pi * self.residual_variance).log())

    def _log_volume(self, z: Tensor, volume: Volume) -> Tensor:
        if volume == "constant":
            return torch.full((len(z),), self.model.unit_scale_log(), dtype=z.dtype, device=z.device)
        grams = gram(self.model.autoencoder.decode_scaled, self.model.distortion, z)
        return -robust_cholesky(grams).diagonal(dim1=1, dim2=2).log().sum(1)
