"""What an experiment is made of, and the one way to reproduce any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from radogaga.errors import InputError
from radogaga.experiments.runs import Row, Run, claim_folder, ignore, kept, run_all, write_result
from radogaga.experiments.tables import Table
from radogaga.method.training.distributed import barrier, is_main
from radogaga.version import __version__


class Config(Protocol):
    """What the runs of an experiment are made with; frozen."""

    def fixed(self) -> dict[str, Any]:
        """Return the settings that all runs in one folder share."""

    def described(self) -> dict[str, Any]:
        """Return all settings, for readers of the result."""


C = TypeVar("C", bound=Config)


def check_known(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise `InputError` if a name is not among those that are known."""
    for name in names:
        if name not in known:
            raise InputError(f"Expected a {kind} among {', '.join(known)}; got {name!r}.")


def _as_they_are(out: Path, rows: Sequence[Row]) -> list[Row]:
    return list(rows)


@dataclass(frozen=True)
class Experiment(Generic[C]):
    """An experiment: runs that are kept one by one, and what is made of their rows.

    Attributes
    ----------
    name : str
        The name in ``result.json``.
    check : callable
        ``check(config)`` raises `InputError` if data is missing or does not fit.
    plan : callable
        ``plan(config) -> runs``; raises `InputError` if a name is unknown.
    table : callable
        ``table(rows) -> Table`` for the terminal.
    report : callable
        ``report(out, config, rows)`` writes plots and ``report.html``, from rows and arrays alone.
    compare : callable
        ``compare(out, rows) -> rows``: the rows of the result, with the figures that set one beside another.
    parallel : bool
        Whether runs go side by side on one thread each, or one after the other on all.
    """

    name: str
    check: Callable[[C], None]
    plan: Callable[[C], list[Run]]
    table: Callable[[Sequence[Row]], Table]
    report: Callable[[Path, C, Sequence[Row]], None]
    compare: Callable[[Path, Sequence[Row]], list[Row]] = _as_they_are
    parallel: bool = True


def claim(experiment: Experiment[C], config: C, out: Path, *, restart: bool = False) -> None:
    """Make a folder the home of an experiment's runs; see `claim_folder`."""
    fixed = {"experiment": experiment.name, "radogaga": __version__, **config.fixed()}
    claim_folder(out, fixed, restart=restart)


def reproduce(
    experiment: Experiment[C],
    config: C,
    out: Path,
    *,
    jobs: int | None = None,
    restart: bool = False,
    report_only: bool = False,
    on_start: Callable[[Sequence[Run]], object] = ignore,
    on_done: Callable[[Run, Row], object] = ignore,
    on_step: Callable[[Run, int], object] = ignore,
) -> list[Row]:
    """Run what is left of an experiment, write ``result.json`` and the report, and return the rows.

    Parameters
    ----------
    experiment : Experiment
        What to reproduce.
    config : Config
        Its settings.
    out : Path
        The folder of its runs, result and report.
    jobs : int, optional
        Runs side by side, by default one for each core.
    restart : bool
        Whether to remove the runs that are kept first.
    report_only : bool
        Whether to run nothing and to report on the runs that are kept.
    on_start, on_done, on_step : callable
        Called with all runs, with each run and its row as it ends, and with a run and its number of training steps.

    Of several workers under `torch.distributed` each is to call it. The first writes all files and returns the rows.

    Raises
    ------
    InputError
        If the settings are unknown or the folder's are others, data is missing, or there is nothing to report on.
    """
    runs = experiment.plan(config)
    if report_only:
        found = kept(runs, out)
        if not found:
            raise InputError(f"Expected runs in {out}; there are none of these yet. Drop --report-only.")
        claim(experiment, config, out)
    else:
        experiment.check(config)
        if is_main():
            claim(experiment, config, out, restart=restart)
        barrier()
        on_start(runs)
        own = {"jobs": jobs} if experiment.parallel else {"jobs": 1, "threads": torch.get_num_threads()}
        found = run_all(runs, out, **own, on_done=on_done, on_step=on_step)
    if not is_main():
        return []
    rows = experiment.compare(out, found)
    write_result(out, experiment.name, config.described(), rows)
    experiment.report(out, config, rows)
    return rows
