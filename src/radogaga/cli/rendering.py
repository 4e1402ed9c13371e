"""Progress on a terminal, with an estimate of the time that is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from radogaga.experiments.runs import Row, Run, run_all


def run_with_progress(runs: Sequence[Run], out: Path, *, jobs: int | None, console: Console) -> list[Row]:
    """Run what is left of an experiment under a progress bar, one line for each run that ends."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        # Runs end in bursts, so the rate is taken over the last quarter of an hour.
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    with Progress(*columns, console=console, speed_estimate_period=900, transient=True) as progress:
        task = progress.add_task("runs", total=len(runs))

        def done(run: Run, row: Row) -> None:
            progress.console.print(f"  {run.name}: {row['seconds']:.0f} s", highlight=False)
            progress.advance(task)

        try:
            return run_all(runs, out, jobs=jobs, done=done)
        except KeyboardInterrupt:
            progress.console.print("Stopped. The same command goes on from here.")
            raise


@contextmanager
def steps_with_progress(what: str, console: Console) -> Iterator[Callable[[int, int | None], None]]:
    """Give a function of (done, total) that moves a progress bar, gone in the end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
