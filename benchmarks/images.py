"""Training on pictures: a whole step against its networks' bare passes, GDN's share of it, pictures a second.

    python benchmarks/images.py [--repeats 7] [--threads 1] [--rows 4096]

A step is one of `radogaga.fit`'s: 64 pictures of 64 x 64 from a memory-mapped array of bytes, mirrored at random, the
losses, the gradients, Adam. Bare are the same networks forward and backward on the same numbers, under a plain sum.
One of each in turn; times are the process's own on a CPU with one thread, since other programs take theirs. The bare
passes are timed twice: how far that ratio is from 1 says how little the others can be trusted on a busy machine.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from radogaga import (
    GDN,
    Autoencoder,
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    Factorized,
    RateDistortion,
    Scaling,
    SquaredError,
    UniformNoise,
    fit,
)
from radogaga.images.pictures import Pictures

SMALL = {"filters": (16, 32, 64, 64), "kernels": (5, 5, 5, 5), "hidden": (256,)}
Clock = Callable[[], float]


def make(latents: int, size: dict | None = None) -> RateDistortion:
    """Return the paper's model, or that of other networks, with the authors' weights in nats."""
    mirrored = {**size, "filters": size["filters"][::-1]} if size else {}
    networks = ConvolutionalEncoder(latents, **(size or {})), ConvolutionalDecoder(latents, **mirrored)
    weight = 283.9 / (3 * 64 * 64)
    return RateDistortion(
        Autoencoder(*networks, latents, Scaling(1)),
        Factorized(latents),
        SquaredError(),
        UniformNoise(1.0),
        isometry_weight=weight,
        reconstruction_weight=weight,
    )


@contextmanager
def bytes_on_disk(rows: int) -> Iterator[np.memmap]:
    """Give pictures of noise in a file, memory-mapped."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.npy"
        np.save(path, np.random.default_rng(0).integers(0, 256, (rows, 64, 64, 3), dtype=np.uint8))
        yield np.load(path, mmap_mode="r")


def bare_step(networks: nn.ModuleList, x: Tensor) -> None:
    """Go forward and backward through the networks that one step goes through, both decodings in one pass."""
    encoder, decoder = networks
    z = encoder(x)
    decoder(torch.cat([z, z])).sum().backward()
    networks.zero_grad()


def normalizations(networks: nn.ModuleList, x: Tensor) -> list[tuple[GDN, Tensor]]:
    """Return each GDN with what a step gives it."""
    found: list[tuple[GDN, Tensor]] = []
    gdns = [module for network in networks for module in network if isinstance(module, GDN)]
    hooks = [gdn.register_forward_pre_hook(lambda gdn, given: found.append((gdn, given[0].detach()))) for gdn in gdns]
    bare_step(networks, x)
    for hook in hooks:
        hook.remove()
    return found


def normalize(gdns: list[tuple[GDN, Tensor]]) -> None:
    for gdn, given in gdns:
        gdn(given.detach().requires_grad_()).backward(given)
        gdn.zero_grad()


def steps_in_turn(model: RateDistortion, pictures: Pictures, repeats: int, clock: Clock) -> dict[str, list[float]]:
    """Return seconds of whole steps, of bare ones, twice, and of all GDNs, one of each in turn after a warm-up."""
    networks = nn.ModuleList(copy.deepcopy([model.autoencoder.encoder, model.autoencoder.decoder]))
    x = pictures[:64]
    gdns = normalizations(networks, x)
    seconds: dict[str, list[float]] = {"step": [], "bare": [], "again": [], "gdn": []}
    last = clock()

    def turn(steps: int) -> None:
        nonlocal last
        seconds["step"].append(clock() - last)
        for name in ("bare", "again", "gdn"):
            start = clock()
            normalize(gdns) if name == "gdn" else bare_step(networks, x)
            seconds[name].append(clock() - start)
        last = clock()

    fit(model, pictures, steps=repeats + 1, batch_size=64, log_every=1, learning_rate=1e-4, progress=turn)
    return {name: times[1:] for name, times in seconds.items()}


def ratio(above: list[float], below: list[float]) -> str:
    """Return the median of ratios of neighbours, and their range."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def pictures_a_second(model: nn.Module, pictures: Pictures, batch: int, steps: int, **options: object) -> float:
    """Return the speed of `fit` after as many steps again to warm up."""
    told: list[float] = []
    fit(
        model,
        pictures,
        steps=2 * steps,
        batch_size=batch,
        log_every=steps,
        progress=lambda _: told.append(time.perf_counter()),
        **options,
    )
    return batch * steps / (told[1] - told[0])


def on_the_cpu(pictures: Pictures, repeats: int, threads: int) -> None:
    torch.set_num_threads(threads)
    # Backward of tensors on the CPU runs in the thread that asks for it.
    times = steps_in_turn(make(256), pictures, repeats, time.process_time if threads == 1 else time.perf_counter)
    print(f"paper's network: {statistics.median(times['step']):.3f} s a step of 64")
    print(f"step / bare passes: {ratio(times['step'], times['bare'])}")
    print(f"bare passes / the same once more: {ratio(times['bare'], times['again'])}")
    print(f"GDN's share of a step: {ratio(times['gdn'], times['step'])}")
    for precision in ("fp32", "bf16"):
        speed = pictures_a_second(make(32, SMALL), pictures, 64, 3 * repeats, precision=precision)
        print(f"small network, {precision}: {speed:,.0f} pictures/s by the clock on the wall")


def on_the_gpu(pictures: Pictures) -> None:
    for compiled in (False, True):
        for batch in (64, 1024, 4096):
            model = make(256)
            if compiled:
                model.compile()
            options = {"precision": "bf16", "device": "cuda"}
            speed = pictures_a_second(model, pictures, min(batch, len(pictures)), 200, **options)
            print(f"paper's network, bf16{', compiled' * compiled}, batch {batch}: {speed:,.0f} pictures/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=4096)
    options = parser.parse_args()
    torch.manual_seed(0)
    with bytes_on_disk(options.rows) as array:
        pictures = Pictures(array, flip=True)
        on_the_cpu(pictures, options.repeats, options.threads)
        if torch.cuda.is_available():
            on_the_gpu(pictures)


if __name__ == "__main__":
    main()
