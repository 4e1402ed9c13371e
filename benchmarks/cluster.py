"""Score generated rows on two workers, beside two bare processes; the time by the number of rows; what a sample costs.

    python benchmarks/cluster.py --rows 1,5,20 --folder /tmp/cluster --out results/cluster.json

Rows, in millions, of 20 columns are written as Parquet files of 250,000 to the folder, and removed in the end. Bare
processes read each a half of the same files, call `TabularModel.score`, and write nothing. Runs alternate, so that
whatever else the machine does weighs on both; each figure is the median over `--repeats`. Where it does much, the time
of processors says more than that of the clock.
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
from typing import NamedTuple

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


class Cost(NamedTuple):
    """Seconds by the clock and of processors, and GiB of the largest process."""

    seconds: float
    processor: float
    gib: float


def cost_of_bare(folder: Path, model: Path) -> Cost:
    """Return what two bare processes take."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--bare", str(folder), str(model)]
    processes = [subprocess.Popen([*command, str(half)], env=_one_thread()) for half in range(WORKERS)]
    used = [os.wait4(process.pid, 0)[2] for process in processes]
    seconds = time.perf_counter() - start
    return Cost(seconds, sum(one.ru_utime + one.ru_stime for one in used), max(one.ru_maxrss for one in used) / 2**20)


def cost_of_workers(folder: Path, model: Path) -> Cost:
    """Return what two workers take; processor time is that of the workers and of the process that is called."""
    out = folder.parent / "scores"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "radogaga", "score", str(model), str(folder), "--out", str(out), "--quiet"]
    start, workers = time.perf_counter(), {}
    running = subprocess.Popen([*command, "--workers", str(WORKERS)], env=_one_thread(), stderr=subprocess.DEVNULL)
    while not (ended := os.wait4(running.pid, os.WNOHANG))[0]:
        workers |= _workers(running.pid)
        time.sleep(0.1)
    seconds = time.perf_counter() - start
    assert ended[1] == 0
    _check_ids(out, len(list(folder.glob("*.parquet"))) * PART)
    processor = ended[2].ru_utime + ended[2].ru_stime + sum(used for used, _ in workers.values())
    return Cost(seconds, processor, max(gib for _, gib in workers.values()))


def _check_ids(out: Path, count: int) -> None:
    found = np.concatenate(
        [pq.read_table(path, columns=["id"])["id"].to_numpy() for path in sorted(out.glob("*.parquet"))]
    )
    assert np.array_equal(found.astype(np.int64), np.arange(count))


def _workers(driver: int) -> dict[int, tuple[float, float]]:
    """Return the processor seconds, and GiB of memory of its own, of each worker of a driver's Ray (Linux)."""
    found, tick = {}, os.sysconf("SC_CLK_TCK")
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cmdline").read_text().startswith("ray::MapWorker"):
                fields = (place / "stat").read_text().rpartition(")")[2].split()
                raylet = (Path("/proc") / fields[1] / "stat").read_text().rpartition(")")[2].split()
                if int(raylet[1]) != driver:
                    continue
                used = sum(map(int, fields[11:13])) / tick
                status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
                found[int(place.name)] = used, int(status["RssAnon"].split()[0]) / 2**20
        except (OSError, KeyError):
            continue
    return found


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
        pairs = [(cost_of_bare(parts, model), cost_of_workers(parts, model)) for _ in range(repeats)]
        alone, spread = (Cost(*map(statistics.median, zip(*costs, strict=True))) for costs in zip(*pairs, strict=True))
        row = {"kind": "scoring", "millions": count}
        row |= {f"bare_{name}": round(value, 2) for name, value in alone._asdict().items()}
        row |= {f"workers_{name}": round(value, 2) for name, value in spread._asdict().items()}
        found.append(row | {"ratio": round(alone.seconds / spread.seconds, 3)})
        found[-1]["ratio_processor"] = round(alone.processor / spread.processor, 3)
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
    parser.add_argument("--parts", default="expected,samples,scoring", help="what to do, by commas")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/radogaga-cluster"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--bare", nargs=3, metavar=("PARTS", "MODEL", "HALF"))
    options = parser.parse_args()
    if options.bare:
        bare(Path(options.bare[0]), Path(options.bare[1]), int(options.bare[2]))
        return
    try:
        wanted, millions = options.parts.split(","), list(map(float, options.rows.split(",")))
        found = expected() if "expected" in wanted else []
        found += sample_costs() if "samples" in wanted else []
        found += scoring(options.folder, millions, options.repeats) if "scoring" in wanted else []
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
