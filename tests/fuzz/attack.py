"""A seeded attack on everything that reads files: models, tables, archives of pictures.

    python tests/fuzz/attack.py --cases 100000 --jobs 2 --out counts.json

Cases run in processes of their own, so that one that ends its process is seen. Each case damages one good file, reads
it, and says what came of it: it was refused in one line, it gave the same scores, it gave others, or it raised what
nobody expected. A case is known by its seed and its number: ``--first 123 --cases 1`` runs one again.
"""

import argparse
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, too

MAX_SECONDS, MAX_BYTES = 30, 2 * 2**30
GOOD = ("refused", "same", "other", "forged")
KINDS = (
    *("model", "altered model", "former model", "csv", "csv.gz", "parquet", "arrow", "arrow stream", "feather"),
    *("zip", "tar", "idx", "picture"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case after so many")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.seed, options.first, options.cases)
        return
    report = attack(options.cases, first=options.first, seed=options.seed, jobs=options.jobs, seconds=options.seconds)
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")
    sys.exit(bool(report["faults"]))


def attack(
    cases: int, *, first: int = 0, seed: int = 0, jobs: int = 2, seconds: float = float("inf")
) -> dict[str, object]:
    """Run cases and return how many there were of each kind and outcome, and those that are faults."""
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        from fuzz.victims import make_victims

        make_victims(Path(folder))
        bounds = [first + cases * i // jobs for i in range(jobs + 1)]
        with ThreadPoolExecutor(jobs) as pool:
            parts = pool.map(
                lambda i: _run(Path(folder), seed, bounds[i], bounds[i + 1] - bounds[i], until), range(jobs)
            )
            results = [result for part in parts for result in part]
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for result in results:
        counts[result["kind"]][result["outcome"]] += 1
    faults = [result for result in results if result["outcome"] not in GOOD]
    return {
        "seed": seed,
        "cases": len(results),
        "counts": {kind: dict(sorted(count.items())) for kind, count in counts.items()},
        "most seconds": max((result.get("seconds", 0) for result in results), default=0),
        "most bytes": max((result.get("bytes", 0) for result in results), default=0),
        "faults": faults,
    }


def _run(folder: Path, seed: int, first: int, cases: int, until: float) -> list[dict]:
    """Run cases in processes, a new one after each that ends too early or takes too long."""
    results: list[dict] = []
    end = first + cases
    while first < end and time.monotonic() < until:
        words = ["--worker", folder, "--seed", seed, "--first", first, "--cases", end - first]
        process = subprocess.Popen(
            [sys.executable, __file__, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        done, outcome = _listen(process, until)
        results += done
        first += len(done)
        if outcome and first < end:
            results.append({"case": first, "kind": KINDS[first % len(KINDS)], "outcome": outcome})
            first += 1
        elif not done:
            break
    return results


def _listen(process: subprocess.Popen, until: float) -> tuple[list[dict], str | None]:
    """Return the results of a process, and what befell the case after them."""
    done: list[dict] = []
    assert process.stdout is not None
    wait = 10 * MAX_SECONDS  # the first one waits for imports
    try:
        while True:
            if not select.select([process.stdout], [], [], wait)[0]:
                return done, "slow"
            line = process.stdout.readline()
            if not line:
                return done, None if process.wait() == 0 else f"ended by {process.returncode}"
            done.append(json.loads(line))
            wait = MAX_SECONDS
            if time.monotonic() > until:
                return done, None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def work(folder: Path, seed: int, first: int, cases: int) -> None:
    """Run cases in this process, and print each one's result as a line of JSON."""
    import warnings

    import numpy as np
    import torch

    from fuzz.victims import Attacker

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    attacker = Attacker(folder)
    place = Path(tempfile.mkdtemp())
    try:
        for case in range(first, first + cases):
            kind = KINDS[case % len(KINDS)]
            shutil.rmtree(place)
            place.mkdir()
            result: dict[str, object] = {"case": case, "kind": kind}
            Path("/proc/self/clear_refs").write_text("5")
            start = time.monotonic()
            try:
                result["outcome"] = attacker.run(kind, place, np.random.default_rng([seed, case]))
            except BaseException as error:
                result |= {"outcome": "traceback", "error": f"{type(error).__name__}: {error}"[:300]}
                result["at"] = traceback.format_exc().splitlines()[-8:]
            result |= {"seconds": round(time.monotonic() - start, 2), "bytes": _peak()}
            if result["seconds"] > MAX_SECONDS:
                result["outcome"] = "slow"
            if result["bytes"] > MAX_BYTES:
                result["outcome"] = "large"
            print(json.dumps(result), flush=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    os._exit(0)


def _peak() -> int:
    """Return the most memory that this process had since it was last asked to forget, in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
