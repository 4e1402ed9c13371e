"""Many independent runs of one experiment: side by side, each kept as it ends, so that a stopped table goes on."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from joblib import Parallel, cpu_count, delayed

from radogaga._utils.files import write_text
from radogaga.errors import InputError
from radogaga.version import __version__

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One run of an experiment.

    Attributes
    ----------
    name : str
        What its files are called.
    function : callable
        ``function(*arguments) -> (row, arrays)``: figures for the table, and arrays for the plots (none: not kept).
    arguments : tuple
        The function's arguments; they must travel between processes.
    """

    name: str
    function: Callable[..., tuple[Row, dict[str, np.ndarray]]]
    arguments: tuple[Any, ...]


def claim_folder(out: Path, config: dict[str, Any], *, restart: bool = False) -> None:
    """Make a folder the home of runs under one configuration, or refuse if it is that of another.

    Parameters
    ----------
    out : Path
        The folder.
    config : dict
        The settings that all its runs share, with the experiment's name.
    restart : bool
        Whether to remove runs and checkpoints of the same experiment that are there, under whatever settings.

    Raises
    ------
    InputError
        If the folder cannot be written, or holds something else.
    """
    path = out / "config.json"
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    if path.is_file():
        if restart and f'"experiment": "{config["experiment"]}"' in path.read_text():
            for kept_there in ("runs", "checkpoints"):
                shutil.rmtree(out / kept_there, ignore_errors=True)
            write_text(path, text)
        elif path.read_text() != text:
            raise InputError(
                f"Expected the settings that {out} was made with; got other ones. "
                f"Pass another --out, or the settings in {path}."
            )
        return
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"Expected an empty or new folder as --out; {out} holds something else. Pass another.")
    write_text(path, text)


def run_all(
    runs: Sequence[Run], out: Path, *, jobs: int | None, done: Callable[[Run, Row], None], threads: int = 1
) -> list[Row]:
    """Run what is not yet kept under ``out/runs``, several at a time, and return all rows in the order of the runs.

    Parameters
    ----------
    runs : sequence of Run
        What to run.
    out : Path
        The experiment's folder.
    jobs : int, optional
        Processes side by side, by default as many as there are cores to use.
    done : callable
        Called with each run and its row as it ends, kept ones first.
    threads : int
        Threads of each process: small networks gain nothing from more than one.
    """
    rows: dict[str, Row] = {}
    for run in runs:
        path = _row_path(out, run)
        if path.is_file():
            rows[run.name] = json.loads(path.read_text())
            done(run, rows[run.name])
    left = [run for run in runs if run.name not in rows]
    work = (delayed(_run_and_keep)(run, out, threads) for run in left)
    for run, row in Parallel(n_jobs=jobs or cpu_count(), return_as="generator_unordered")(work):
        rows[run.name] = row
        done(run, row)
    return [rows[run.name] for run in runs]


def kept(runs: Sequence[Run], out: Path) -> list[Row]:
    """Return the rows of those runs that have been run in a folder, in the order of the runs."""
    paths = [_row_path(out, run) for run in runs]
    return [json.loads(path.read_text()) for path in paths if path.is_file()]


def read_arrays(out: Path, name: str) -> dict[str, np.ndarray]:
    """Return the arrays that a run kept."""
    with np.load(out / "runs" / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def environment() -> dict[str, str | int]:
    """Return what a figure's reader needs to know of the machine and the versions."""
    return {
        "radogaga": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "machine": platform.machine(),
        "system": platform.system(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def write_result(out: Path, experiment: str, config: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write ``out/result.json``: the experiment's name, configuration, environment and rows."""
    result = {"experiment": experiment, "config": config, "environment": environment(), "rows": list(rows)}
    write_text(out / "result.json", json.dumps(result, indent=1, allow_nan=False) + "\n")


def _run_and_keep(run: Run, out: Path, threads: int) -> tuple[Run, Row]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        row, arrays = run.function(*run.arguments)
    finally:
        torch.set_num_threads(before)
    row = {key: _plain(value) for key, value in row.items()}
    path = _row_path(out, run)
    path.parent.mkdir(parents=True, exist_ok=True)
    if arrays:
        with path.with_name(f".{run.name}.part").open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        path.with_name(f".{run.name}.part").replace(path.with_suffix(".npz"))
    write_text(path, json.dumps(row, indent=1, allow_nan=False))
    return run, row


def _plain(value: Any) -> Any:
    """Return a figure as JSON has it: what is not a number becomes null."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


def _row_path(out: Path, run: Run) -> Path:
    return out / "runs" / f"{run.name}.json"
