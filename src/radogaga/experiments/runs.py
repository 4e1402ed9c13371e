"""Independent runs of one experiment, several at a time, each kept on disk as it ends: a stopped table goes on."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray

from radogaga._utils.files import replace_file, sweep, write_text
from radogaga.errors import InputError
from radogaga.method.training.distributed import is_main
from radogaga.version import __version__

Row = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Run:
    """One run of an experiment.

    Attributes
    ----------
    name : str
        The name of its files.
    function : callable
        ``function(*arguments) -> (row, arrays)``: figures for the table, among them ``seconds``, and arrays for the
        plots (none: no file).
    arguments : tuple
        The function's arguments; they must be picklable.
    steps : int
        Training steps that the run reports, 0 for none. With steps the function takes ``on_step``, too: a function of
        the number of steps done.
    """

    name: str
    function: Callable[..., tuple[Row, Arrays]]
    arguments: tuple[Any, ...]
    steps: int = 0


def ignore(*_: Any) -> None:
    """Do nothing with what is reported."""


def claim_folder(out: Path, config: dict[str, Any], *, restart: bool = False) -> None:
    """Make a folder the home of runs with one configuration, or raise `InputError` if it is that of another.

    The configuration has the experiment's name under ``experiment``. A restart removes runs and checkpoints of the
    same experiment first, whatever their settings.
    """
    if out.is_dir():
        sweep(out)
    path = out / "config.json"
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    if path.is_file():
        if restart and f'"experiment": "{config["experiment"]}"' in path.read_text():
            for folder in ("runs", "checkpoints"):
                shutil.rmtree(out / folder, ignore_errors=True)
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
    runs: Sequence[Run],
    out: Path,
    *,
    jobs: int | None,
    threads: int = 1,
    on_done: Callable[[Run, Row], object],
    on_step: Callable[[Run, int], object] = ignore,
) -> list[Row]:
    """Run what is not yet kept under ``out/runs``, and return all rows in the order of the runs.

    Parameters
    ----------
    runs : sequence of Run
        What to run.
    out : Path
        The experiment's folder.
    jobs : int, optional
        Processes side by side, by default one for each core.
    threads : int
        Threads of each process: small networks gain nothing from more than one.
    on_done : callable
        Called with each run and its row as it ends, kept ones first.
    on_step : callable, optional
        Called with a run that has steps and the number of them that are done; such runs need one job.
    """
    rows: dict[str, Row] = {}
    for run in runs:
        path = _row_path(out, run)
        if path.is_file():
            rows[run.name] = json.loads(path.read_text())
            on_done(run, rows[run.name])
    left = [run for run in runs if run.name not in rows]
    # What reports progress need not be picklable, so it is passed only where it is called.
    work = (delayed(_run_and_keep)(run, out, threads, partial(on_step, run) if run.steps else None) for run in left)
    for run, row in Parallel(n_jobs=jobs or cpu_count(), return_as="generator_unordered")(work):
        rows[run.name] = row
        on_done(run, row)
    return [rows[run.name] for run in runs]


def kept(runs: Sequence[Run], out: Path) -> list[Row]:
    """Return the rows of those runs that are kept in a folder, in the order of the runs."""
    paths = [_row_path(out, run) for run in runs]
    return [json.loads(path.read_text()) for path in paths if path.is_file()]


def read_arrays(out: Path, name: str) -> Arrays:
    """Return the arrays that a run kept."""
    with np.load(out / "runs" / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def environment() -> dict[str, str | int]:
    """Return the versions and the machine, for readers of the figures."""
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


def _run_and_keep(run: Run, out: Path, threads: int, on_step: Callable[[int], object] | None) -> tuple[Run, Row]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        row, arrays = run.function(*run.arguments, **({"on_step": on_step} if on_step else {}))
    finally:
        torch.set_num_threads(before)
    row = {key: _plain(value) for key, value in row.items()}
    if not is_main():
        return run, row
    path = _row_path(out, run)
    if arrays:
        with replace_file(path.with_suffix(".npz")) as beside, beside.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    write_text(path, json.dumps(row, indent=1, allow_nan=False))
    return run, row


def _plain(value: Any) -> Any:
    """Return a figure as JSON has it: what is not a number becomes null."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


def _row_path(out: Path, run: Run) -> Path:
    return out / "runs" / f"{run.name}.json"
