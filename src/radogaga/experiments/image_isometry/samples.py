"""How a model in training rebuilds a few pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from radogaga._utils.files import write_bytes
from radogaga.experiments import plots
from radogaga.experiments.baselines.beta_vae import BetaVAE
from radogaga.experiments.image_isometry.analysis import as_bytes
from radogaga.images.pictures import Pictures
from radogaga.method.objective import RateDistortion


def write_samples(path: Path, model: RateDistortion | BetaVAE, test: Pictures, step: int) -> None:
    """Write a few held-out pictures and what the model makes of them as a PNG file; the model stays in its mode."""
    x = test[:8]
    training = model.training
    model.eval()
    with torch.no_grad():
        rebuilt = _rebuild(model, x.to(next(model.parameters()).device)).cpu()
    model.train(training)
    shown = as_bytes(torch.stack([x, rebuilt])).numpy()
    figure = Figure(figsize=(7, 2.2), layout="constrained")
    plots.picture_grid(figure.subplots(), shown, names=["held out", f"step {step}"])
    write_bytes(path, plots.png(figure))


def _rebuild(model: RateDistortion | BetaVAE, x: Tensor) -> Tensor:
    if isinstance(model, BetaVAE):
        out: Tensor = model.decoder(model.encode(x)[0])
        return out
    return model.autoencoder.decode(model.autoencoder.encode(x))
