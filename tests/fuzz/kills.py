"""Kills commands at random times, runs them again, and compares with a run that was left alone.

    python tests/fuzz/kills.py --kills 60 --seconds 600

After a kill a result is there whole or not at all. After the run that follows it is the same as ever, and nothing else
is there. Prints counts by command as JSON. It forks (Linux).
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, too


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case after so many")
    parser.add_argument("--commands", default="fit,score,density")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = kill(Path(folder), options.commands.split(","), options.kills, options.seed, options.seconds)
    print(json.dumps(report, indent=1))
    sys.exit(bool(report["faults"]))


def kill(place: Path, commands: list[str], kills: int, seed: int, seconds: float) -> dict[str, object]:
    """Kill commands in turn and return counts by command and what went wrong."""
    made = _make(place)  # a command may be named more than once, to be killed more often
    chosen, until, faults, counts = random.Random(seed), time.monotonic() + seconds, [], Counter()
    expected, times = {}, {}
    for name in commands:
        start = time.monotonic()
        assert _run(made[name], place / f"{name}-whole") == 0, name
        times[name] = time.monotonic() - start
        expected[name] = _content(place / f"{name}-whole")
    for i in range(kills):
        if time.monotonic() > until:
            break
        name = commands[i % len(commands)]
        out = place / f"{i}"
        killed = _run(made[name], out, after=chosen.uniform(0, times[name]))
        half = {path: content for path, content in _content(out).items() if expected[name].get(path) != content}
        again = _run(made[name], out)
        found = _content(out)
        counts[f"{name} {'killed' if killed == -signal.SIGKILL else 'had ended'}"] += 1
        left = [path.name for path in out.rglob(".*")]
        if half or again or found != expected[name] or left:
            faults.append({"case": i, "command": name, "half": sorted(half), "again": again, "left": left})
            faults[-1]["other"] = sorted(path for path in expected[name] if found.get(path) != expected[name][path])
        shutil.rmtree(out)
    return {"seed": seed, "seconds uninterrupted": times, "kills": dict(counts), "faults": faults}


def _make(place: Path) -> dict[str, list[str]]:
    import warnings

    import torch

    # What a fork needs is imported once; no thread has been started.
    import radogaga.cli.main
    import radogaga.experiments.toy_density.experiment
    import radogaga.tabular.estimator
    import radogaga.tabular.scoring  # noqa: F401
    from mixed_table import mixed
    from radogaga import RaDOGAGA

    torch.set_num_threads(1)
    data, model = str(place / "data.csv"), str(place / "model")
    mixed(3000).assign(id=range(3000)).to_csv(data, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        RaDOGAGA(max_steps=5, random_state=0).fit(mixed(300)).save(model)
    return {
        "fit": ["fit", data, "--out", "OUT/model", "--id", "id", "--max-steps", "30", "--quiet"],
        "score": ["score", model, data, "--out", "OUT/scores.csv", "--id", "id", "--quiet"],
        "density": [
            "reproduce",
            "density",
            "--quick",
            "--sources",
            "flat",
            "--methods",
            "pca+mixture,untrained,dagmm",
            "--jobs",
            "1",
            "--out",
            "OUT/density",
        ],
    }


def _run(words: list[str], out: Path, after: float | None = None) -> int:
    """Run the program in a fork and return its exit status; kill it after some seconds."""
    out.mkdir(exist_ok=True)
    process = os.fork()
    if process == 0:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        sys.argv = ["radogaga", *(word.replace("OUT", str(out)) for word in words)]
        status = 1
        try:
            from radogaga.cli.main import main as program

            program()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            os._exit(status)
    if after is not None:
        time.sleep(after)
        os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _content(out: Path) -> dict[str, object]:
    """Return what is under final names, but for what differs from run to run: times and the page that shows them."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    shown = [path for path in files if not any(part.startswith(".") for part in path.relative_to(out).parts)]
    return {str(path.relative_to(out)): _comparable(path) for path in shown}


def _comparable(path: Path) -> object:
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text()))
    return None if path.suffix in (".html", ".png", ".npz") or "checkpoints" in path.parts else path.read_bytes()


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if "second" not in key}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
