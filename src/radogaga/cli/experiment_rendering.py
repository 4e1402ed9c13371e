"""What the program shows of an experiment: progress while it runs, then its table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable
from rich.text import Text

if TYPE_CHECKING:
    from radogaga.experiments.experiment import Config, Experiment
    from radogaga.experiments.runs import Row, Run
    from radogaga.experiments.tables import Table

    C = TypeVar("C", bound=Config)

_MIN_WIDTH = 140


def reproduce_with_progress(
    experiment: Experiment[C], config: C, out: Path, *, quiet: bool = False, **options: Any
) -> None:
    """Reproduce an experiment under progress bars, with a line for each run that ends, and show its table.

    The options are those of `radogaga.experiments.experiment.reproduce`.
    """
    from radogaga.experiments.experiment import reproduce

    console = Console(quiet=quiet)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"))
    # Runs end in bursts, so the rate is taken over the last quarter of an hour.
    with Progress(*columns, TimeRemainingColumn(), console=console, speed_estimate_period=900, transient=True) as bars:
        tasks = {"": bars.add_task("runs", total=None)}

        def start(runs: Sequence[Run]) -> None:
            bars.update(tasks[""], total=len(runs))
            # All bars stand there from the start, as a run takes a while before its first step and after its last one.
            tasks.update({run.name: bars.add_task(run.name, total=run.steps) for run in runs if run.steps})

        def done(run: Run, row: Row) -> None:
            bars.console.print(f"  {run.name}: {row['seconds']:.0f} s", highlight=False)
            bars.advance(tasks[""])
            if run.name in tasks:
                bars.remove_task(tasks[run.name])

        def step(run: Run, steps: int) -> None:
            bars.update(tasks[run.name], completed=steps)

        try:
            rows = reproduce(experiment, config, out, on_start=start, on_done=done, on_step=step, **options)
        except KeyboardInterrupt:
            bars.console.print("Stopped. The same command goes on from here.")
            raise
    if not rows:  # of several workers the first has them
        return
    # On a narrow terminal lines that fold are better than figures that are cut off.
    Console(quiet=quiet, width=max(console.width, _MIN_WIDTH)).print(_rendered(experiment.table(rows)))
    console.print(f"Report: {out / 'report.html'}", highlight=False, soft_wrap=True)


def _rendered(table: Table) -> RichTable:
    """Return a table as rich shows it, with a line where the first cell changes."""
    shown = RichTable(title=table.title)
    for i, heading in enumerate(table.headings):
        shown.add_column(heading, no_wrap=i < table.words, justify="left" if i < table.words else "right")
    previous = None
    for cells in table.cells:
        if previous not in (None, cells[0]):
            shown.add_section()
        previous = cells[0]
        shown.add_row(*map(Text, cells))
    return shown
