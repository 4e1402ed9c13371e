"""The density of rows: the prior at their latents, the decoder's volume factor, the residual, the units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from radogaga._utils.checks import check_rows
from radogaga._utils.linalg import robust_cholesky
from radogaga._utils.storage import save
from radogaga.errors import InputError
from radogaga.method.density.residuals import GaussianResidual, ResidualDistribution
from radogaga.method.jacobians import gram, jacobian
from radogaga.method.objective import RateDistortion
from radogaga.method.prior_features import ResidualFeatures

Volume = Literal["isometric", "exact"]


class Projection(NamedTuple):
    """Latents of rows, and their residuals.

    Attributes
    ----------
    z : Tensor
        Latents, ``(B, N)``.
    residual : Tensor
        Scaled rows less their reconstructions, ``(B, M)``.
    """

    z: Tensor
    residual: Tensor


class Density(nn.Module):
    """The data's log density under a trained model, in nats and in the data's own units.

    On the manifold, log p(x) = log P(z) + V. The volume factor V is either *isometric*, the constant
    (N / 2) log(2 l2 s2) of an isometric model, or *exact*, -1/2 log det J' A J of the Jacobian at each row. Only the
    exact factor holds where the manifold is intrinsically curved, since a flat latent space cannot be isometric to it.
    With `include_residual`, the density of the residual x - x^ in the M - N directions off the manifold is added, which
    gives a density on all of R^M: probabilistic PCA with curves.

    Densities on the manifold are per unit length of the distortion: a length in the data under squared error and a
    uniform scaling, a length in scaled units under any other scaling.

    Parameters
    ----------
    model : RateDistortion
        A trained model.
    features : int
        Number of features, M.
    residual : GaussianResidual, StudentTResidual or MultiscaleResidual, optional
        The distribution of the residual, for M - N directions; by default Gaussian.

    Examples
    --------
    >>> import torch
    >>> from radogaga import (Autoencoder, Density, GaussianNoise, Normal, RateDistortion, ResidualMLP, Scaling,
    ...                       SquaredError, initialize_pca)
    >>> x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    >>> autoencoder = Autoencoder(ResidualMLP(4, 2), ResidualMLP(2, 4), latents=2, scaling=Scaling.standard(x))
    >>> initialize_pca(autoencoder, x)
    >>> density = Density(RateDistortion(autoencoder, Normal(2), SquaredError(), GaussianNoise(std=0.1)), features=4)
    >>> density.fit_residual(x)
    >>> density.log_prob(x).shape, density.log_prob(x, volume="exact", include_residual=True).shape
    (torch.Size([500]), torch.Size([500]))
    """

    def __init__(self, model: RateDistortion, features: int, residual: ResidualDistribution | None = None) -> None:
        super().__init__()
        if isinstance(model.prior_features, ResidualFeatures):
            raise InputError(
                "Expected a model whose prior sees latents alone; got one that sees the residual too, which is no "
                "density of the data. Use -model.rate(x) as its score."
            )
        self.model = model
        self.features = features
        self.residual = GaussianResidual(features - model.autoencoder.latents) if residual is None else residual

    @torch.no_grad()
    def fit_residual(self, x: Tensor) -> None:
        """Fit the distribution of the residual to raw rows, ``(n, M)``."""
        self.residual.fit(self.model.autoencoder.residual(x))

    @torch.no_grad()
    def log_prob(
        self,
        x: ArrayLike | Tensor,
        *,
        volume: Volume = "isometric",
        include_residual: bool = False,
        batch_size: int = 4096,
    ) -> Tensor:
        """Return the log density of raw rows in nats, ``(n, M) -> (n,)``; higher is more normal.

        Raises
        ------
        InputError
            If the rows are not finite numbers in as many columns as the model was made for.
        """
        rows = check_rows(x, columns=self.features).to(self.device)
        parts = rows.split(batch_size)
        return torch.cat([self.log_prob_batch(part, volume, include_residual=include_residual) for part in parts])

    def log_prob_batch(self, x: Tensor, volume: Volume, *, include_residual: bool) -> Tensor:
        """Return the log density of one batch without checks, with derivatives, ``(B, M) -> (B,)``."""
        autoencoder = self.model.autoencoder
        if include_residual:
            projection = self.project(x)
            joint = self.log_joint(projection) + self.log_volume(projection.z, volume)
            return joint + autoencoder.scaling.log_volume(x)
        z = autoencoder.encode(x)
        log_density = self.model.prior.log_prob(z) + self.log_volume(z, volume)
        if autoencoder.scaling.uniform:
            log_density = log_density - z.shape[1] * autoencoder.scaling.factor[0].log()
        return log_density

    def project(self, x: Tensor) -> Projection:
        """Return the latents and the residuals of raw rows, ``(B, M)``."""
        autoencoder = self.model.autoencoder
        s = autoencoder.scaling(x)
        z = autoencoder.encode_scaled(s)
        return Projection(z, s - autoencoder.decode_scaled(z))

    def log_joint(self, projection: Projection, known: Mapping[nn.Module, Tensor] | None = None) -> Tensor:
        """Return the log density of latents and residual together, ``(B,)``, per unit of scaled rows.

        Of priors that are `known`, the log density of the latents is given already.
        """
        return self.model.prior.log_prob_given(projection.z, known or {}) + self.residual.log_prob(projection.residual)

    def scaled_log_prob(self, x: Tensor) -> Tensor:
        """Return the log density of raw rows, residual included, per unit of scaled rows, ``(B, M) -> (B,)``."""
        return self.log_joint(self.project(x))

    @torch.no_grad()
    def sample(self, n: int, *, include_residual: bool = False) -> Tensor:
        """Return n raw rows, ``(n, M)``, on the manifold or, with the residual, around it."""
        autoencoder = self.model.autoencoder
        z: Tensor = self.model.prior.sample(n)
        s = autoencoder.decode_scaled(z)
        if include_residual:
            noise = self.residual.sample(s)
            # Along the manifold the latents vary already.
            tangent = torch.linalg.qr(jacobian(autoencoder.decode_scaled, z)[1].permute(1, 2, 0)).Q
            s = s + noise - (tangent @ (tangent.mT @ noise[..., None]))[..., 0]
        return autoencoder.scaling.inverse(s)

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.model.autoencoder.log_gain.device

    def save(self, folder: str | Path) -> None:
        """Write the density with its model as a folder that `radogaga.load` reads."""
        save(self, folder)

    def log_volume(self, z: Tensor, volume: Volume) -> Tensor:
        """Return the log volume factor V at latents, ``(B, N) -> (B,)``."""
        if volume == "isometric":
            return torch.full((len(z),), self.model.unit_scale_log(), dtype=z.dtype, device=z.device)
        grams = gram(self.model.autoencoder.decode_scaled, self.model.distortion, z)
        return -robust_cholesky(grams).diagonal(dim1=1, dim2=2).log().sum(1)
