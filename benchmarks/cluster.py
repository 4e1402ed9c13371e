"""Score generated rows on two workers, beside two bare processes; the time by the number of rows; what a sample costs.

    python benchmarks/cluster.py --rows 1,5,20 --folder /tmp/cluster --out results/cluster.json

Rows, in millions, of 20 columns are written as Parquet files of 250,000 to the folder, and removed in the end. Bare
processes read each a half of the same files, call `TabularModel.score`, and write nothing. Runs alternate, so that
whatever else the machine does weighs on both; each figure is the median over `--repeats`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from radogaga import RaDOGAGA, TabularModel
from radogaga.version import __version__

PART = 250_000
COLUMNS = 20
WORKERS = 2
# The paper's network in 32 bits, and what links of an H100 or H200 reach in practice, in bytes a second.
PARAMETERS, PICTURES, LATENTS = 21_608_995, 1024, 256
NVLINK, NETWORK, WRITES, HOP_MS, OVERLAP, GPUS_PER_NODE = 300e9, 40e9, 2e12, 0.02, 2 / 3, 8
SAMPLES = (2_000, 10_000, 50_000, 100_000, 200_000)


def rows(count: int, seed: int) -> pd.DataFrame:
    """Six latents, one of them skewed, through a curved map, under noise."""
    mixing = np.random.RandomState(0).normal(size=(6, COLUMNS))
    random = np.random.RandomState(seed)
    z = random.normal(size=(count, 6))
    z[:, 0] = abs(z[:, 0])
    x = 3 * np.tanh(z @ mixing / 2) + 0.3 * random.normal(size=(count, COLUMNS))
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(COLUMNS)])


def write(folder: Path, parts: int) -> None:
    folder.mkdir(parents=True)
    for i in range(parts):
        frame = rows(PART, i)
        frame.insert(0, "id", np.arange(PART) + i * PART)
        frame.to_parquet(folder / f"{i:04}.parquet", index=False)


def bare(folder: Path, model: Path, half: int) -> None:
    """Score every other part, and nothing else: what a worker is compared with."""
    fitted = TabularModel.load(model)
    for path in sorted(folder.glob("*.parquet"))[half::WORKERS]:
        fitted.score(pd.read_parquet(path))


def time_bare(folder: Path, model: Path) -> tuple[float, float]:
    """Return seconds, and GiB of the larger process."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--bare", str(folder), str(model)]
    processes = [subprocess.Popen([*command, str(half)], env=_one_thread()) for half in range(WORKERS)]
    peaks = [os.wait4(process.pid, 0)[2].ru_maxrss for process in processes]
    return time.perf_counter() - start, max(peaks) / 2**20


def time_cluster(folder: Path, model: Path) -> tuple[float, float]:
    """Return seconds, and GiB of the largest process of all that were started."""
    out = folder.parent / "scores"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "radogaga", "score", str(model), str(folder), "--out", str(out), "--quiet"]
    start = time.perf_counter()
    running = subprocess.Popen([*command, "--workers", str(WORKERS)], env=_one_thread(), stderr=subprocess.DEVNULL)
    peak = 0.0
    while running.poll() is None:
        peak = max(peak, _largest_worker())
        time.sleep(0.2)
    seconds = time.perf_counter() - start
    assert running.returncode == 0
    _check_ids(out, len(list(folder.glob("*.parquet"))) * PART)
    return seconds, peak


def _check_ids(out: Path, count: int) -> None:
    found = np.concatenate(
        [pq.read_table(path, columns=["id"])["id"].to_numpy() for path in sorted(out.glob("*.parquet"))]
    )
    assert np.array_equal(found.astype(np.int64), np.arange(count))


def _largest_worker() -> float:
    """Return GiB of memory of its own that the largest worker of Ray holds (Linux)."""
    largest = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cmdline").read_text().startswith("ray::MapWorker"):
                status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
                largest = max(largest, int(status["RssAnon"].split()[0]))
        except (OSError, KeyError):
            continue
    return largest / 2**20


def _one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def sample_costs() -> list[dict[str, float | int | str]]:
    """Return what a fit to so many rows takes, and what it reaches on 200,000 new ones."""
    test, found = rows(200_000, 10_001), []
    for count in SAMPLES:
        x = rows(count, 10_000)
        start = time.process_time()
        model = RaDOGAGA(random_state=0).fit(x).model_
        seconds = time.process_time() - start
        score = model.score(test)
        error = float(score.std() / len(score) ** 0.5)
        found.append(
            {
                "kind": "sample",
                "rows": count,
                "cpu_seconds": round(seconds, 1),
                "nats": round(float(score.mean()), 3),
                "error": round(error, 3),
            }
        )
        print(found[-1], flush=True)
    return found


def scoring(folder: Path, millions: list[float], repeats: int) -> list[dict[str, float | int | str]]:
    model = folder / "model"
    replace(RaDOGAGA(random_state=0).fit(rows(100_000, 10_000)).model_, id_column="id").save(model)
    found = []
    for count in millions:
        parts = folder / "parts"
        shutil.rmtree(parts, ignore_errors=True)
        write(parts, round(count * 1e6 / PART))
        pairs = [(time_bare(parts, model), time_cluster(parts, model)) for _ in range(repeats)]
        (alone, alone_gib), (spread, spread_gib) = (
            (statistics.median(pair[i][0] for pair in pairs), max(pair[i][1] for pair in pairs)) for i in (0, 1)
        )
        found.append(
            {
                "kind": "scoring",
                "millions": count,
                "bare_seconds": round(alone, 1),
                "cluster_seconds": round(spread, 1),
                "ratio": round(statistics.median(pair[0][0] / pair[1][0] for pair in pairs), 3),
                "bare_gib": round(alone_gib, 2),
                "worker_gib": round(spread_gib, 2),
            }
        )
        print(found[-1], flush=True)
    return found


def expected() -> list[dict[str, float | int | str | None]]:
    """Return what a training step of the paper's network should take on many GPUs: a calculation, not a measurement.

    Computing is the measured time of one GPU's step, in 32 bits, called from Python, at 1,024 pictures a GPU. An
    all-reduce moves 2 (n - 1) / n times the gradients over each GPU's slowest link. Every GPU draws the noise of all.
    """
    measured = json.loads((Path(__file__).parents[1] / "results" / "gpu.json").read_text())["rows"]
    plain = {"kind": "speed", "precision": "fp32", "channels_last": False, "compiled": "no"}
    step = {
        row["batch"]: 1000 * row["batch"] / row["pictures_per_second"]
        for row in measured
        if plain.items() <= row.items()
    }
    found: list[dict[str, float | int | str | None]] = []
    for gpus in (8, 64, 512):
        link = NVLINK if gpus <= GPUS_PER_NODE else NETWORK
        reduce = 1000 * 2 * (gpus - 1) / gpus * 4 * PARAMETERS / link + HOP_MS * np.log2(gpus)
        noise = 1000 * 4 * gpus * PICTURES * LATENTS / WRITES
        compute, hidden = step[PICTURES], OVERLAP * step[PICTURES]
        found.append(
            {
                "kind": "expected",
                "gpus": gpus,
                "compute_ms": round(compute, 2),
                "reduce_ms": round(float(reduce), 3),
                "noise_ms": round(noise, 3),
                "efficiency": round(float(compute / (compute + reduce + noise)), 3),
                "efficiency_overlapped": round(float(compute / (compute + max(reduce - hidden, 0) + noise)), 3),
                # A step of 64 pictures takes as long as its calls from Python: fewer pictures a GPU take no less.
                "efficiency_64": round(float(step[64] / (step[64] + reduce) / gpus), 4) if gpus <= 64 else None,
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1,5,20", help="millions, by commas")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/radogaga-cluster"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--bare", nargs=3, metavar=("PARTS", "MODEL", "HALF"))
    options = parser.parse_args()
    if options.bare:
        bare(Path(options.bare[0]), Path(options.bare[1]), int(options.bare[2]))
        return
    try:
        found = expected() + sample_costs()
        found += scoring(options.folder, list(map(float, options.rows.split(","))), options.repeats)
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)
    result = {
        "about": "Generated rows of 20 columns: scored by two workers of Ray and two bare processes; fits to samples.",
        "command": f"python benchmarks/cluster.py --rows {options.rows} --repeats {options.repeats}",
        "date": str(date.today()),
        "versions": {"radogaga": __version__, **{name: version(name) for name in ("torch", "ray", "pyarrow", "numpy")}},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "rows": found,
    }
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
