"""How best to train the 20 small runs of one anomaly data set on two cores: side by side, or stacked into one.

    python benchmarks/together.py [--steps 300] [--runs 20] [--repeats 5] [--ways abcdef]

Made-up rows of Thyroid's and Arrhythmia's shape, experiment 5.3's published networks at two latents, RaDOGAGA with a
mixture. One after the other is `radogaga.fit`; *stacked* is one loop over all runs' parameters (vmap) and one Adam.
Rows are drawn epoch by epoch and the rate follows the same cosine in both, each run has rows, scaling, first
parameters and noise of its own, and the processes are started before the clock. Prints for each way the seconds of
the wall and of the processors, the speed as a ratio to (c), which is what `radogaga.experiments.runs` does, as the
median over interleaved repeats (above 1 = faster), and the runs' mean loss on their own rows after training, with how
far it is from (c)'s run by run: it has to be the same but for the noise. On a busy machine set
OMP_WAIT_POLICY=passive, or two threads that wait for each other by spinning, (b) and (e), take thirty times as long.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from joblib import Parallel, delayed
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from radogaga import MLP, Autoencoder, GaussianNoise, Mixture, RateDistortion, Scaling, SquaredError, fit
from radogaga.experiments.anomaly_detection.settings import PUBLISHED, Network

SHAPES = {
    "Thyroid": (1839, 6, replace(PUBLISHED["thyroid"], latents=2, batch=256)),
    "Arrhythmia": (193, 274, PUBLISHED["arrhythmia"]),
}
LEARNING_RATE, LOG_EVERY = 1e-3, 100

Train = Callable[[list[RateDistortion], Tensor, Network, int, int], None]
"""``train(models, tables, network, steps, seed)``: models in place, a table of raw rows for each, ``(R, n, M)``."""


def one_by_one(models: list[RateDistortion], tables: Tensor, network: Network, steps: int, seed: int) -> None:
    options = {"steps": steps, "batch_size": network.batch, "learning_rate": LEARNING_RATE, "log_every": LOG_EVERY}
    for i, (model, x) in enumerate(zip(models, tables, strict=True)):
        fit(model, x, seed=seed + i, **options)


def stacked(models: list[RateDistortion], tables: Tensor, network: Network, steps: int, seed: int) -> None:
    """Take every run's step in one: the gradient of a sum of losses that share nothing is each run's own."""
    torch.manual_seed(seed)
    for model in models:
        model.train()
    parameters, buffers = stack_module_state(models)

    def means_of_one(own: dict[str, Tensor], fixed: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.stack(tuple(functional_call(models[0], (own, fixed), (x,)))).mean(1)

    means_of_all = vmap(means_of_one, randomness="different")
    optimizer = torch.optim.Adam(parameters.values(), lr=LEARNING_RATE, fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    runs, rows, _ = tables.shape
    total = torch.zeros(runs, 3)
    for step in range(steps):
        place = step % (rows // network.batch)
        if place == 0:
            order = torch.rand(runs, rows).argsort(1)
        drawn = order[:, place * network.batch : (place + 1) * network.batch]
        means = means_of_all(parameters, buffers, tables[torch.arange(runs)[:, None], drawn])
        optimizer.zero_grad()
        means.sum().backward()
        optimizer.step()
        scheduler.step()
        total += means.detach()
        if (step + 1) % LOG_EVERY == 0:
            if not total.isfinite().all():
                raise FloatingPointError(f"Expected finite losses; got {total} by step {step}.")
            total.zero_()
    for i, model in enumerate(models):
        model.load_state_dict({name: value[i] for name, value in parameters.items()}, strict=False)
        model.eval()


@dataclass(frozen=True)
class Way:
    """A way to train the runs: one loop or the other, in so many tasks, processes and threads in each."""

    name: str
    train: Train
    stacks: bool = False
    processes: int = 1
    threads: int = 1

    def __call__(self, tables: Tensor, network: Network, steps: int) -> tuple[float, float, Tensor]:
        """Return the seconds on the wall, those of all processors together, and each run's loss afterwards."""
        size = len(tables) // self.processes if self.stacks else 1
        work = [
            delayed(task)(self.train, part, network, steps, i * size, self.threads)
            for i, part in enumerate(tables.split(size))
        ]
        start = time.perf_counter()
        done = Parallel(n_jobs=self.processes)(work)
        return time.perf_counter() - start, sum(cpu for cpu, _ in done), torch.cat([losses for _, losses in done])


WAYS = {
    "a": Way("one by one, 1 thread", one_by_one),
    "b": Way("one by one, 2 threads", one_by_one, threads=2),
    "c": Way("one by one, 2 processes", one_by_one, processes=2),
    "d": Way("stacked, 1 thread", stacked, stacks=True),
    "e": Way("stacked, 2 threads", stacked, stacks=True, threads=2),
    "f": Way("stacked, 2 processes", stacked, stacks=True, processes=2),
}


def task(train: Train, tables: Tensor, network: Network, steps: int, seed: int, threads: int) -> tuple[float, Tensor]:
    """Build and train some runs; return the processor's seconds, all threads together, and the loss of each run."""
    torch.set_num_threads(threads)
    start = time.process_time()
    models = [make(x, network, seed + i) for i, x in enumerate(tables)]
    train(models, tables, network, steps, seed)
    cpu = time.process_time() - start
    torch.manual_seed(0)
    with torch.no_grad():
        losses = [model(x.repeat(10, 1)).total.mean() for model, x in zip(models, tables, strict=True)]
    return cpu, torch.stack(losses)


def make(x: Tensor, network: Network, seed: int) -> RateDistortion:
    torch.manual_seed(seed)
    widths = [x.shape[1], *network.hidden, network.latents]
    autoencoder = Autoencoder(MLP(widths), MLP(widths[::-1]), network.latents, Scaling.min_max(x))
    prior = Mixture(network.latents, network.components)
    return RateDistortion(autoencoder, prior, SquaredError(), GaussianNoise(network.resolution))


def make_tables(runs: int, rows: int, columns: int) -> Tensor:
    """Return a table for each run, ``(R, n, M)``: a plane's worth of signal and a little of everything."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.randn(2, columns, generator=generator)
    signal = torch.randn(runs, rows, 2, generator=generator) @ plane
    return signal + 0.3 * torch.randn(runs, rows, columns, generator=generator)


def compare(ways: str, tables: Tensor, network: Network, steps: int, repeats: int) -> None:
    for way in ways:
        WAYS[way](tables, network, 5)
    results = [{way: WAYS[way](tables, network, steps) for way in ways} for _ in range(repeats)]
    print(f"{'':30}{'seconds':>9}{'of CPU':>9}{'speed':>9}{'loss':>11}{'from (c), run by run':>24}")
    for way in ways:
        seconds = statistics.median(repeat[way][0] for repeat in results)
        cpu = statistics.median(repeat[way][1] for repeat in results)
        speed = statistics.median(repeat["c"][0] / repeat[way][0] for repeat in results)
        losses, reference = results[0][way][2], results[0]["c"][2]
        apart = 100 * (losses / reference - 1)
        error = apart.std() / len(apart) ** 0.5
        print(
            f"({way}) {WAYS[way].name:26}{seconds:9.2f}{cpu:9.2f}{speed:9.2f}{losses.mean():11.3f}"
            f"{apart.mean():+14.2f} +- {error:.2f} %"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--runs", type=int, default=20, help="an even number")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--ways", default="abcdef", help="which to time, (c) among them")
    options = parser.parse_args()
    for name, (rows, columns, network) in SHAPES.items():
        load = os.getloadavg()[0]
        print(f"{name}, {rows} x {columns}: {options.runs} runs of {options.steps} steps; load before {load:.1f}")
        compare(options.ways, make_tables(options.runs, rows, columns), network, options.steps, options.repeats)


if __name__ == "__main__":
    main()
