"""Training steps and scored rows a second, against the same networks in a bare PyTorch loop, in one run.

    python benchmarks/training.py [--steps 1000] [--repeats 5] [--profile]

Prints the ratio ours / bare as the median over interleaved repeats (1 = no overhead), and with --profile where the
time of a step goes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from radogaga import (
    Autoencoder,
    Density,
    GaussianNoise,
    Mixture,
    RateDistortion,
    ResidualMLP,
    Scaling,
    SquaredError,
    fit,
)
from radogaga.datasets.toy import flat

BATCH, RESOLUTION, HIDDEN = 256, 0.04, (128, 128, 128)


def make(x: Tensor) -> RateDistortion:
    autoencoder = Autoencoder(ResidualMLP(16, 3, HIDDEN), ResidualMLP(3, 16, HIDDEN), 3, Scaling.root_mean_square(x))
    return RateDistortion(autoencoder, Mixture(3, 20), SquaredError(), GaussianNoise(RESOLUTION))


def bare_training(model: RateDistortion, x: Tensor, steps: int) -> None:
    """Take the same steps written out by hand: no history, no checks, no schedule, no checkpoints."""
    autoencoder, prior = model.autoencoder, model.prior
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
    weight = 1 / (2 * RESOLUTION**2)
    for _ in range(steps):
        s = autoencoder.scaling(x[torch.randint(len(x), (BATCH,))])
        z = autoencoder.encode_scaled(s)
        noisy = z + torch.randn_like(z) * RESOLUTION
        clean, perturbed = autoencoder.decode_scaled(torch.cat([z, noisy])).chunk(2)
        reconstruction = 5 * weight * (s - clean).square().sum(1)
        isometry = weight * (clean - perturbed).square().sum(1)
        loss = (reconstruction + isometry - prior.log_prob(noisy)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def bare_scoring(model: RateDistortion, x: Tensor) -> Tensor:
    """Return the log density of the latents, with the linear algebra and nothing else."""
    return torch.cat([model.prior.log_prob(model.autoencoder.encode(part)) for part in x.split(4096)])


def ratio(ours: Callable[[], object], bare: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return ours' speed over bare's, and ours' seconds: medians over interleaved repeats, after one warm-up."""
    pairs = []
    for repeat in range(repeats + 1):
        seconds = []
        for function in (ours, bare):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
        if repeat:
            pairs.append(seconds)
    return statistics.median(b / a for a, b in pairs), statistics.median(a for a, _ in pairs)


def profile(model: nn.Module, x: Tensor) -> None:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as recorded:
        fit(model, x, steps=100)
    print(recorded.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="print where a training step's time goes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    x = flat().x.float()
    model = make(x)
    speed, seconds = ratio(
        lambda: fit(model, x, steps=options.steps, batch_size=BATCH),
        lambda: bare_training(model, x, options.steps),
        options.repeats,
    )
    print(f"training: {options.steps / seconds:,.0f} steps/s, {speed:.2f} of the bare loop's speed")
    many, density = x.repeat(20, 1), Density(model.eval(), features=16)
    speed, seconds = ratio(lambda: density.log_prob(many), lambda: bare_scoring(model, many), options.repeats)
    print(f"scoring, constant volume: {len(many) / seconds:,.0f} rows/s, {speed:.2f} of the bare loop's speed")
    start = time.perf_counter()
    density.log_prob(x, volume="exact")
    print(f"scoring, exact volume: {len(x) / (time.perf_counter() - start):,.0f} rows/s")
    if options.profile:
        profile(model, x)


if __name__ == "__main__":
    main()
