"""The last step of a fit: the laws of the latents and of the residual that make a trained model a density of rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from radogaga.density import Density
from radogaga.guard import Guard
from radogaga.networks import Autoencoder
from radogaga.objective import RateDistortion
from radogaga.priors import Blend, Kernel, Mixture, Prior
from radogaga.priors.blend import unseen_log_prob
from radogaga.residuals import FINEST, NormalResidual, PrincipalResidual
from radogaga.spectrum import leading_axes
from radogaga.training import encode

Detail = Literal["both", "coarse", "fine"]

_MOST_CENTRES = 800
_COMPONENTS, _ROWS_PER_COMPONENT = (1, 2, 3, 5), 10
_MOST_FOR_EM = _MOST_FOR_RESIDUAL = 20_000
_FOLDS = 5
_LEAST_TO_TELL = 20
_MOST_FOR_GUARD, _LEAST_FOR_GUARD, _MOST_NUMBERS = 2000, 100, 2**24


@torch.no_grad()
def as_density(
    model: RateDistortion, x: Tensor, held_out: Tensor | None, detail: Detail, *, linear: bool, seed: int
) -> Density:
    """Return a model's density, with its final prior and its residual's law, in float64.

    Parameters
    ----------
    model : RateDistortion
        A trained model, or one that is PCA as yet.
    x : Tensor
        Training rows in a random order, ``(n, M)``.
    held_out : Tensor, optional
        Rows that the model has not seen.
    detail : "both", "coarse" or "fine"
        Coarse: a kernel density of the latents, and one variance for all of the residual, no less than the kernel's. A
        unit of latent space is a unit of data space: off the manifold nothing is known finer than along it. Fine: the
        kernel density is blended with Gaussian mixtures, and the residual has fine and coarse scales in each direction.
        Both: one density of the two, see `radogaga.guard.Guard`.
    linear : bool
        Whether the model is PCA as yet.
    seed : int
        Draws all that is random.
    """
    autoencoder, features = model.autoencoder, x.shape[1]
    z = latents_of(model, x if held_out is None else torch.cat([x, held_out]))
    kernel = _kernel(z, seed)
    coarsest, directions = float(kernel.bandwidth) ** 2, features - autoencoder.latents
    model.prior = kernel
    normal = NormalResidual(directions).to(x.device)
    normal.fit(
        _crossed_residual(autoencoder.scaling(x), autoencoder.latents)
        if held_out is None
        else _residual(autoencoder, held_out)
    )
    normal.variance.clamp_(min=coarsest)
    if detail == "coarse":
        return _finished(Density(model, features, normal))
    model.prior = _blended(z, kernel, seed)
    law = PrincipalResidual(features, directions).to(x.device)
    unseen = _unseen_residual(autoencoder, x, held_out, linear)
    law.fit(unseen, coarsest=coarsest)
    if detail == "fine":
        return _finished(Density(model, features, law))
    density = _finished(Density(model, features, law, Guard(normal).to(x.device)))
    _set_guard(density, z, unseen, seed)
    return density


def _set_guard(density: Density, z: Tensor, unseen_residual: Tensor, seed: int) -> None:
    """Set up a density's guard by training rows' latents, each under the kernel density of others, and residuals.

    Few rows do not tell what is usual: there the coarse law stays alone.
    """
    guard = density.guard
    assert guard is not None
    some = min(len(z), len(unseen_residual), _MOST_FOR_GUARD)
    if some < _LEAST_TO_TELL:
        return
    log_prior = unseen_log_prob(z[:some].double(), [partial(_kernel, seed=seed)])[:, 0]
    rows = min(_MOST_FOR_GUARD, max(_MOST_NUMBERS // (density.features * z.shape[1]), _LEAST_FOR_GUARD))
    fine = Density(density.model, density.features, density.residuals)
    with torch.random.fork_rng(devices=[z.device.index or 0] if z.device.type == "cuda" else []):
        torch.manual_seed(seed)  # not what training has left: equal models are to have equal guards
        drawn = density.coarse_log_prob(fine.sample(rows, across=True))
    guard.fit(log_prior + guard.residuals.log_prob(unseen_residual[:some].double()), drawn)


def latents_of(model: RateDistortion, x: Tensor) -> Tensor:
    """Return the latents of rows, equal ones for equal rows: rounding depends on a row's place in a batch."""
    distinct, place = x.unique(dim=0, return_inverse=True)
    return encode(model, distinct)[place]


def _finished(density: Density) -> Density:
    # Trained in single precision, used in double: then a score does not depend on the rows that are scored beside it.
    return density.double().eval().requires_grad_(False)


def _blended(z: Tensor, kernel: Kernel, seed: int) -> Blend:
    """Return a blend of a kernel density and mixtures, as far as there are rows for these."""
    distinct = len(z.unique(dim=0))
    components = [k for k in _COMPONENTS if distinct >= _ROWS_PER_COMPONENT * k]
    if not components:
        return Blend([kernel]).to(z)
    fits: list[Callable[[Tensor], Prior]] = [partial(_kernel, seed=seed)]
    floor = FINEST * float(kernel.bandwidth) ** 2
    fits += [partial(_mixture, components=k, seed=seed, floor=floor) for k in components]
    return Blend.fit_latents(z, fits, seed=seed)


def _kernel(z: Tensor, seed: int) -> Kernel:
    return Kernel.fit_latents(z, most_centres=_MOST_CENTRES, seed=seed)


def _mixture(z: Tensor, components: int, seed: int, floor: float) -> Prior:
    prior = Mixture(z.shape[1], components).to(z)
    prior.fit_em(z[:_MOST_FOR_EM], seed=seed, floor=floor, restarts=3)
    return prior


def _unseen_residual(autoencoder: Autoencoder, x: Tensor, held_out: Tensor | None, linear: bool) -> Tensor:
    """Return residuals as large as those of new rows: a law of many directions takes more rows than are held out."""
    if linear:
        seen = x if held_out is None else torch.cat([x, held_out])
        s = autoencoder.scaling(seen[:_MOST_FOR_RESIDUAL])
        crossed, axes = _crossed_residual(s, autoencoder.latents), leading_axes(s, autoencoder.latents)[1]
        return crossed - crossed @ axes.T @ axes
    residual = _residual(autoencoder, x[:_MOST_FOR_RESIDUAL])
    if held_out is None:
        return residual
    square, unseen = (rows.square().mean().clamp_min(1e-12) for rows in (residual, _residual(autoencoder, held_out)))
    return residual * (unseen / square).sqrt()


def _residual(autoencoder: Autoencoder, x: Tensor) -> Tensor:
    s = autoencoder.scaling(x)
    return s - autoencoder.decode_scaled(autoencoder.encode_scaled(s))


def _crossed_residual(s: Tensor, latents: int) -> Tensor:
    """Return what PCA of the other folds leaves of each scaled row: few rows leave none out to measure it on."""
    parts = []
    for fold in range(min(_FOLDS, len(s))):
        chosen = torch.arange(len(s), device=s.device) % _FOLDS == fold
        centre, axes, _ = leading_axes(s[~chosen], latents)
        off = s[chosen] - centre
        parts.append(off - off @ axes.T @ axes)
    return torch.cat(parts)
