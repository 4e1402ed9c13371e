"""What is measured of a trained row of experiment 5.1, on pictures that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from radogaga._utils.linalg import pearson
from radogaga.experiments.baselines.beta_vae import BetaVAE, divergence
from radogaga.experiments.runs import Arrays, Row
from radogaga.images.pictures import Pictures
from radogaga.method.distortions.distortion import Distortion
from radogaga.method.distortions.ssim import SSIM
from radogaga.method.isometry import Isometry, describe_grams, predicted_diagonal, probe
from radogaga.method.jacobians import gram
from radogaga.method.objective import RateDistortion
from radogaga.method.training.data import iter_batches

_MAX_GRAMS, _MAX_GRAMS_OF_MANY = 200, 40
_MANY_LATENTS = 64
_MAX_ABLATED = 1000
_SHOWN = 8
#: Traverses: places of latents by variance, steps, and standard deviations to either side.
_TRAVERSED, _STEPS, _SPAN = (*range(9), 20, 21, 22, 200, 201, 202), 9, 2.0


class Codes(NamedTuple):
    """Latents of pictures.

    Attributes
    ----------
    z : Tensor
        Latents, or a posterior's means, ``(B, N)``.
    deviation : Tensor
        Standard deviation of the noise on each, ``(B, N)``.
    unit : Tensor
        The length that counts as one on each, ``(B, N)``.
    rate : Tensor
        Information in the noisy latents, in nats, ``(B,)``.
    """

    z: Tensor
    deviation: Tensor
    unit: Tensor
    rate: Tensor


@dataclass(frozen=True)
class Embedding:
    """What is measured of any model.

    Attributes
    ----------
    codes : callable
        ``(B, C, H, W) -> Codes``.
    decode : callable
        ``(B, N) -> (B, C, H, W)``.
    distortion : Distortion
        D, of which A is the metric.
    constant : float or None
        The factor that makes J' A J the identity; None: the one that fits best.
    predict : callable
        ``(z, variance, deviation) -> (N,)``: the diagonal by theory.
    """

    codes: Callable[[Tensor], Codes]
    decode: Callable[[Tensor], Tensor]
    distortion: Distortion
    constant: float | None
    predict: Callable[[Tensor, Tensor, Tensor], Tensor]


def rate_distortion_embedding(model: RateDistortion) -> Embedding:
    """Return the embedding of a RaDOGAGA."""

    def codes(x: Tensor) -> Codes:
        z = model.autoencoder.encode(x)
        deviation = torch.full_like(z, model.noise.variance**0.5)
        rate = -model.prior.log_prob(z + model.noise(z)) - z.shape[1] * model.noise.entropy
        return Codes(z, deviation, torch.ones_like(z), rate)

    def predict(z: Tensor, variance: Tensor, deviation: Tensor) -> Tensor:
        return predicted_diagonal(model, z, variance)

    return Embedding(codes, model.autoencoder.decode, model.distortion, model.constant, predict)


def beta_vae_embedding(model: BetaVAE, distortion: Distortion, *, rescaled: bool) -> Embedding:
    """Return the embedding of a beta-VAE: its latents as they are, or each counted in posterior deviations."""

    def codes(x: Tensor) -> Codes:
        mean, deviation = model.encode(x)
        unit = deviation if rescaled else torch.ones_like(deviation)
        return Codes(mean, deviation, unit, divergence(mean, deviation))

    def predict(z: Tensor, variance: Tensor, deviation: Tensor) -> Tensor:
        return 1 - deviation.square().mean(0) if rescaled else torch.ones_like(variance)

    return Embedding(codes, model.decoder, distortion, 2 * model.weight if rescaled else None, predict)


@torch.no_grad()
def analyse(embedding: Embedding, test: Pictures, device: torch.device) -> tuple[Row, Arrays]:
    """Return a row's figures on held-out pictures, and the arrays that its plots are drawn from.

    A latent is active if its variance is at least its noise's. Figures of the Gram matrices are over active latents
    unless they say "all". Where no constant is fixed, the mean diagonal is set to 1.
    """
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    coded = [embedding.codes(part.to(device)) for part in iter_batches(test)]
    codes = Codes(*map(torch.cat, zip(*coded, strict=True)))
    variance = codes.z.var(0)
    active = (variance >= codes.deviation.square().mean(0)).nonzero()[:, 0]
    active = active[(variance / codes.unit.square().mean(0))[active].argsort(descending=True)]
    row, arrays = _isometry(embedding, codes, active, generator)
    importance = _importance(embedding, codes, active)
    row |= _quality(embedding, codes, test, device) | _importance_figures(arrays["spectrum"][active], importance)
    row |= {
        "latents": codes.z.shape[1],
        "active": len(active),
        "rate": float(codes.rate.mean()),
        "bits_per_pixel": float(codes.rate.mean()) / math.log(2) / math.prod(test.shape[2:]),
    }
    arrays |= {"importance": importance, "live": active} | _pictures(embedding, codes, test, active)
    return row, {name: values.cpu().numpy() for name, values in arrays.items()}


def _isometry(
    embedding: Embedding, codes: Codes, active: Tensor, generator: torch.Generator
) -> tuple[Row, dict[str, Tensor]]:
    """Return figures of the Gram matrices at some pictures, over active latents, and the spectrum of all latents."""
    count = _MAX_GRAMS if codes.z.shape[1] <= _MANY_LATENTS else _MAX_GRAMS_OF_MANY
    chosen = torch.randperm(len(codes.z), generator=generator)[:count].to(codes.z.device)
    grams = torch.cat([gram(embedding.decode, embedding.distortion, codes.z[part]) for part in chosen.split(20)])
    unit = codes.unit[chosen]
    grams = unit[:, :, None] * grams * unit[:, None, :]
    inner = grams[:, active][:, :, active]
    constant = embedding.constant
    if constant is None:
        constant = 1 / float(inner.diagonal(dim1=1, dim2=2).mean()) if len(active) else 1.0
    grams, inner = grams * constant, inner * constant
    variance = codes.z.var(0)
    spectrum = variance / codes.unit.square().mean(0) / constant
    pairs = {"all": probe(grams, generator), "active": probe(inner, generator)}
    arrays = {f"probe_{which}_{side}": pair[i] for which, pair in pairs.items() for i, side in enumerate(("z", "x"))}
    arrays |= {"spectrum": spectrum, "gram": inner.mean(0)}
    row: Row = {"probe_r_all": pearson(*pairs["all"])}
    if len(active) > 1:  # with fewer there is nothing to compare
        prediction = embedding.predict(codes.z[chosen], variance, codes.deviation[chosen])[active]
        isometry = describe_grams(inner, spectrum[active], prediction, generator)
        row |= _gram_figures(isometry, inner)
        arrays |= {"diagonal": isometry.diagonal, "diagonal_predicted": prediction}
    return row, arrays


def _gram_figures(isometry: Isometry, grams: Tensor) -> Row:
    prediction = isometry.prediction
    ratio = grams.diagonal(dim1=1, dim2=2) / prediction
    root = prediction.rsqrt()
    return {
        "probe_r": isometry.probe_r,
        # Of isotropic v and w, v'w and v'Dw: shorter latents lower r even where the diagonal D is exactly theory's.
        "probe_r_predicted": float(prediction.sum() / (len(prediction) * prediction.square().sum()).sqrt()),
        "diag_mean": isometry.diag_mean,
        "diag_sd": isometry.diag_sd,
        "diag_predicted": float(prediction.mean()),
        "diag_ratio": float(ratio.mean()),
        "diag_ratio_sd": float(ratio.std()),
        "diag_ratio_latent_sd": float(ratio.mean(0).std()),
        "off_rms": isometry.off_rms,
        "condition": isometry.condition,
        "condition_ratio": float(torch.linalg.cond(root[:, None] * grams * root).median()),
    }


def _importance(embedding: Embedding, codes: Codes, active: Tensor) -> Tensor:
    """Return the mean distortion when a latent is set to its mean, of each active latent, ``(A,)``."""
    z = codes.z[:_MAX_ABLATED]
    mean = codes.z.mean(0)
    measured = []
    for latent in active.tolist():
        without = z.clone()
        without[:, latent] = mean[latent]
        pairs = zip(z.split(50), without.split(50), strict=True)
        distances = [embedding.distortion(embedding.decode(a), embedding.decode(b)) for a, b in pairs]
        measured.append(torch.cat(distances).mean())
    return torch.stack(measured) if measured else z.new_zeros(0)


def _importance_figures(predicted: Tensor, measured: Tensor) -> Row:
    if len(measured) < 3:
        return {"importance_r": None, "importance_worst": None}
    logs = (measured / predicted).log()
    return {
        "importance_r": pearson(predicted.log(), measured.log()),
        "importance_worst": float(logs.abs().max().exp()),
    }


def _quality(embedding: Embedding, codes: Codes, test: Pictures, device: torch.device) -> Row:
    """Return PSNR and SSIM of reconstructions at clean and at noisy latents."""
    sums = torch.zeros(4, device=device)
    start = 0
    for part in iter_batches(test):
        x = part.to(device)
        z = codes.z[start : start + len(x)]
        noisy = z + codes.deviation[start : start + len(x)] * torch.randn_like(z)
        start += len(x)
        for i, latents in enumerate((z, noisy)):
            decoded = embedding.decode(latents)
            sums[i] += (x - decoded).square().flatten(1).mean(1).sum()
            sums[2 + i] += SSIM()(x, decoded).sum()
    error, noisy_error, unlike, noisy_unlike = (sums / len(test)).tolist()
    return {
        "psnr": -10 * math.log10(error),
        "psnr_noisy": -10 * math.log10(noisy_error),
        "ssim": 1 - unlike,
        "ssim_noisy": 1 - noisy_unlike,
    }


def _pictures(embedding: Embedding, codes: Codes, test: Pictures, active: Tensor) -> dict[str, Tensor]:
    """Return originals, reconstructions and traverses as bytes, ``(..., C, H, W)``."""
    z = codes.z[:_SHOWN]
    noisy = z + codes.deviation[:_SHOWN] * torch.randn_like(z)
    shown = torch.stack([test[:_SHOWN].to(z), embedding.decode(z), embedding.decode(noisy)])
    ranks = [rank for rank in _TRAVERSED if rank < len(active)]
    mean, deviation = codes.z.mean(0), codes.z.std(0)
    steps = torch.linspace(-_SPAN, _SPAN, _STEPS).to(z)
    lines = []
    for latent in active[ranks].tolist():
        line = mean.repeat(_STEPS, 1)
        line[:, latent] += steps * deviation[latent]
        lines.append(embedding.decode(line))
    traverses = torch.stack(lines) if lines else shown.new_zeros(0, _STEPS, *test.shape[1:])
    return {"shown": as_bytes(shown), "traverses": as_bytes(traverses), "traversed": torch.tensor(ranks)}


def as_bytes(pictures: Tensor) -> Tensor:
    """Return pictures of floats in [0, 1] as bytes."""
    return (255 * pictures.clamp(0, 1)).round().to(torch.uint8)
