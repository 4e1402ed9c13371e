"""Training with a mixture as the prior, after a warm-up with the standard normal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from radogaga.method.objective import RateDistortion
from radogaga.method.priors.estimated_mixture import EstimatedMixture
from radogaga.method.priors.mixture import Mixture
from radogaga.method.priors.normal import Normal
from radogaga.method.training.data import as_dataset
from radogaga.method.training.history import History
from radogaga.method.training.loop import encode, fit


def fit_with_mixture(
    model: RateDistortion,
    x: Any,
    *,
    steps: int = 5000,
    warm_up: float = 0.25,
    coarsening: float = 1.0,
    learning_rate: float = 2e-3,
    seed: int = 0,
    refit: bool = True,
    **options: Any,
) -> History:
    """Train a model with a mixture as the prior, without a collapse of its latents.

    A mixture's density is unbounded as a latent's variance shrinks, and early in training that is where the objective
    leads. So the first steps take the standard normal as the prior. Then expectation maximisation fits the mixture to
    all latents, and again after the last step, on clean latents, which revives components that died in training.

    Parameters
    ----------
    model : RateDistortion
        Its prior is a `Mixture` or an `EstimatedMixture`.
    x : array-like or Dataset
        Raw rows.
    steps : int
        Steps in all.
    warm_up : float
        Share of the steps with the standard normal.
    coarsening : float
        Factor of the resolution in those steps. Wide noise unfolds a curved manifold where fine noise would leave it
        folded, since it reaches from one sheet to the next.
    refit : bool
        Whether to fit the mixture once more at the end.
    learning_rate, seed, options
        As for `fit`.
    """
    prior = model.prior
    if not isinstance(prior, Mixture | EstimatedMixture):
        raise TypeError(f"Expected a mixture as the prior; got {type(prior).__name__}. Use fit instead.")
    rows = as_dataset(x, min_rows=2)
    first = round(warm_up * steps)
    options["learning_rate"] = learning_rate
    warm_up_options = {**options, "schedule": "constant"}
    if checkpoint := options.get("checkpoint"):
        # The two parts train different parameters, so each has a file of its own.
        warm_up_options["checkpoint"] = f"{checkpoint}.warm-up"
    with _warming_up(model, prior, coarsening):
        fit(model, rows, steps=first, seed=seed, **warm_up_options)
    prior.fit(encode(model, rows), seed=seed)
    history = fit(model, rows, steps=steps - first, seed=seed + 1, **options)
    if refit:
        prior.fit(encode(model, rows), seed=seed, restarts=3)
    return history


@contextmanager
def _warming_up(model: RateDistortion, prior: Mixture | EstimatedMixture, coarsening: float) -> Iterator[None]:
    """Train a model with the standard normal and a coarser resolution inside this context."""
    settings = model.noise, model.isometry_weight, model.reconstruction_weight
    model.prior, model.noise = Normal(prior.latents), model.noise.scaled(coarsening)
    model.isometry_weight /= coarsening**2
    model.reconstruction_weight /= coarsening**2
    try:
        yield
    finally:
        model.prior = prior
        model.noise, model.isometry_weight, model.reconstruction_weight = settings
