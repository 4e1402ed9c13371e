"""The estimator's fit times, its peak memory and its scoring rate, on one core, beside PyOD's AutoEncoder.

    OMP_NUM_THREADS=1 python benchmarks/estimator.py [--large] [--repeats 5]

Fits 5,000 x 20 rows, and with --large 500,000 x 40 as well; scores 100,000 rows of 20 columns, the two detectors in
turn. Rates are medians. Seconds are the processor's, of the one thread there is, so that other work on the machine does
not count. Without PyOD (pip install 'radogaga[peers]') only ours is timed.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from radogaga import RaDOGAGA


def rows(n: int, columns: int, seed: int = 0) -> np.ndarray:
    """Return rows near a curved surface of a quarter as many dimensions as columns."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).normal(size=(2, columns // 4, columns))
    z = random.normal(size=(n, columns // 4))
    return z @ mixing[0] + np.sin(z) @ mixing[1] + 0.3 * random.normal(size=(n, columns))


def seconds(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def time_fit(n: int, columns: int) -> RaDOGAGA:
    x, model = rows(n, columns), RaDOGAGA(random_state=0)
    taken = seconds(lambda: model.fit(x))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"fit, {n:,} x {columns}: {taken:.1f} s; peak memory of this process so far {peak:.2f} GiB", flush=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="fit 500,000 x 40 as well")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = time_fit(5_000, 20)
    new = rows(100_000, 20, seed=1)
    detectors: dict[str, Callable[[], Any]] = {"RaDOGAGA": lambda: model.score_samples(new)}
    if importlib.util.find_spec("pyod"):
        from pyod.models.auto_encoder import AutoEncoder

        peer = AutoEncoder(verbose=0, random_state=0)
        print(f"fit, 5,000 x 20, PyOD's AutoEncoder: {seconds(lambda: peer.fit(rows(5_000, 20))):.1f} s")
        detectors["PyOD's AutoEncoder"] = lambda: peer.decision_function(new)
    taken = [[seconds(detector) for detector in detectors.values()] for _ in range(options.repeats)]
    for name, times in zip(detectors, zip(*taken, strict=True), strict=True):
        print(f"scoring, 20 columns, {name}: {len(new) / statistics.median(times):,.0f} rows/s")
    if len(detectors) == 2:
        print(f"ours over PyOD's: {statistics.median(b / a for a, b in taken):.1f}")
    if options.large:
        time_fit(500_000, 40)


if __name__ == "__main__":
    main()
