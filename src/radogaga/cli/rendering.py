"""What the program shows on a terminal: models, explanations, notes and progress bars."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

if TYPE_CHECKING:
    from radogaga.tabular.explanation import Explanation
    from radogaga.tabular.model import TabularModel
    from radogaga.tabular.scoring import SelectedRows

_MAX_LINES = 12


def show_model(model: TabularModel) -> Iterator[RenderableType]:
    """Yield what a terminal shows of a model, part by part."""
    from radogaga.tabular.summary import describe_columns, facts, summarize

    columns = describe_columns(model)
    yield Text(summarize(model))
    yield text_table(("column", "holds"), columns[: 4 * _MAX_LINES])
    if len(columns) > 4 * _MAX_LINES:
        yield Text(f"... {len(columns)} columns in all")
    for name, value in facts(model):
        yield Text(f"{name:<12} {value}")


def show_explanations(
    model: TabularModel, explanation: Explanation, selected: SelectedRows
) -> Iterator[RenderableType]:
    """Yield what a terminal shows of explained rows: a line and a table for each."""
    p_values = model.calibration.p_value(explanation.score)
    alarms = model.calibration.is_anomaly(explanation.score)
    for i, (row, id_) in enumerate(zip(selected.rows, selected.ids, strict=True)):
        name = f"Row {row}" + ("" if id_ is None else f" ({id_})")
        yield Text(
            f"{name}: score {explanation.score[i]:.1f} nats, p-value {p_values[i]:.2g}, "
            f"{'an alarm' if alarms[i] else 'no alarm'}; "
            f"{explanation.score[i] - explanation.baseline[i]:+.1f} nats from a typical row",
            style="bold",
        )
        yield _contributions(explanation, i)
        yield Text()


def show_parts(title: str, description: Any) -> Tree:
    """Return a saved model's parts and their settings as a tree."""
    tree = Tree(Text(title))
    _grow(tree, "model", description)
    return tree


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> Table:
    """Return a table of words, those of some columns aligned to the right."""
    table = Table(box=None, pad_edge=False)
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Print warnings as lines of the program's own."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    console = Console(stderr=True)
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            console.print(f"radogaga: note: {escape(str(warning.message))}", highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """Give a function of (done, total) that moves a progress bar on the error stream, gone in the end."""
    console = Console(stderr=True)
    console.quiet = quiet or not console.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _grow(tree: Tree, name: str, description: Any) -> None:
    if not isinstance(description, dict):
        tree.add(Text(f"{name}: {description}"))
    elif "class" in description:
        branch = tree.add(Text(f"{name}: {description['class'].rpartition(':')[2]}"))
        for argument, value in description["arguments"].items():
            _grow(branch, argument, value)
    else:
        tree.add(Text(f"{name}: {next(iter(description.values()))}".replace("radogaga.", "")))


def _contributions(explanation: Explanation, i: int) -> Table:
    from radogaga._utils.checks import format_value

    nats = explanation.contributions[i]
    largest_first = abs(nats).argsort(kind="stable")[::-1][:_MAX_LINES]
    scale = max(float(abs(nats).max()), 1e-300)
    rows = []
    for j in sorted(largest_first, key=lambda j: nats[j]):
        new = " (new)" if explanation.novel[i, j] else ""
        value = format_value(explanation.values.iat[i, j]) + new
        typical, bar = format_value(explanation.typical.iat[i, j]), "█" * round(12 * abs(nats[j]) / scale)
        rows.append((explanation.columns[j], value, typical, f"{nats[j]:+.2f}", bar))
    if others := len(nats) - len(rows):
        rows.append((f"{others} others", "", "", f"{nats.sum() - nats[largest_first].sum():+.2f}", ""))
    return text_table(("column", "value", "typical", "nats", ""), rows, right=(3,))
