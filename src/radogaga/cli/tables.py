"""The program's words for tables: fit, score and explain."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from rich.console import Console
from rich.markup import escape

from radogaga._utils.checks import check_device
from radogaga.errors import InputError

if TYPE_CHECKING:
    from radogaga.tabular.estimator import RaDOGAGA

_TABLE = "A .csv, .csv.gz, .tsv, .parquet, .arrow or .feather file."
_WRITTEN = "A .csv, .parquet, .arrow or .feather file."


def fit(
    data: Annotated[Path, typer.Argument(help=f"The rows to learn from. {_TABLE}")],
    out: Annotated[Path, typer.Option(help="Folder for the model; a model that is there already is replaced.")],
    drop: Annotated[list[str] | None, typer.Option(help="A column to leave out; may be given again.")] = None,
    id_column: Annotated[
        str | None, typer.Option("--id", help="The column of identifiers: kept, not modelled.")
    ] = None,
    alarm_rate: Annotated[
        float | None, typer.Option(help="The highest share of false alarms, 0.001 say; default: near 0.01.")
    ] = None,
    smoothness: Annotated[
        str,
        typer.Option(help="What the density is best at: coarse ranks anomalies, fine is likelier, both: either."),
    ] = "both",
    seed: Annotated[int, typer.Option(min=0, help="Draws all that is random.")] = 0,
    max_steps: Annotated[int, typer.Option(min=0, help="Most training steps.")] = 1000,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, ...")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors and warnings.")] = False,
) -> None:
    """Learn a density from a table: numbers, categories, dates, missing values, with nothing to choose."""
    from radogaga import RaDOGAGA
    from radogaga.tabular.density_fit import Smoothness
    from radogaga.tabular.files.table_files import read
    from radogaga.tabular.storage import refuse_foreign, save
    from radogaga.tabular.summary import summary

    if alarm_rate is not None and not 0 < alarm_rate <= 0.5:
        raise InputError(f"Expected an --alarm-rate above 0 and at most 0.5; got {alarm_rate}. Try 0.01.")
    if smoothness not in get_args(Smoothness):
        raise InputError(
            f"Expected --detail {', '.join(get_args(Smoothness)[:-1])} or {get_args(Smoothness)[-1]}; got {smoothness!r}."
        )
    check_device(device)
    refuse_foreign(out)
    with _notes():
        frame = read(data)
    for name in [*(drop or []), *([id_column] if id_column else [])]:
        if name not in frame.columns:
            raise InputError(f"Expected a column {name!r} in {data}; it has {_listed(frame.columns)}. Check the name.")
    frame = frame.drop(columns=[*(drop or []), *([id_column] if id_column else [])])
    if not frame.shape[1]:
        raise InputError("Expected a column to learn from; all were left out. Drop fewer.")
    with _notes():
        shown = not quiet and Console(stderr=True).is_terminal
        model = RaDOGAGA(
            alarm_rate=alarm_rate,
            max_steps=max_steps,
            smoothness=cast(Smoothness, smoothness),
            random_state=seed,
            device=device,
            verbose=int(shown),
        ).fit(frame)
    save(model, out, {"id": id_column} if id_column else {})
    Console(quiet=quiet).print(f"{out}: {summary(model)}", markup=False, highlight=False, soft_wrap=True)


def score(
    model: Annotated[Path, typer.Argument(help="Folder that fit wrote.")],
    data: Annotated[Path, typer.Argument(help=f"The rows to score, of any number. {_TABLE}")],
    out: Annotated[Path, typer.Option(help=f"Where to write id or row, score, p-value, alarm, reasons. {_WRITTEN}")],
    reasons: Annotated[int, typer.Option(min=0, max=100, help="For how many columns to say why, for alarms.")] = 0,
    id_column: Annotated[
        str | None, typer.Option("--id", help="The column of identifiers; default: as in fit.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Score the rows of a file, in memory that does not grow with it: log density, p-value, alarm, reasons."""
    from radogaga.tabular.scoring import score_file

    estimator, id_column = _load(model, id_column)
    with _notes(), _progress("rows scored", quiet) as progress:
        done = score_file(estimator, data, out, id_column=id_column, reasons=reasons, progress=progress)
    console = Console(quiet=quiet)
    share = done.alarms / done.rows
    lines = [f"{out}: {done.rows:,} rows, {done.alarms:,} alarm{'s' * (done.alarms != 1)} ({share:.2%})"]
    lines += [f"  {name}: never seen in training in {count:,} rows" for name, count in list(done.unseen.items())[:20]]
    if done.left_out:
        lines.append(f"  not used: {_listed(done.left_out)}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def explain(
    model: Annotated[Path, typer.Argument(help="Folder that fit wrote.")],
    data: Annotated[Path, typer.Argument(help=f"The file of the rows. {_TABLE}")],
    row: Annotated[int | None, typer.Option(min=0, help="Which row, counted from 0.")] = None,
    top: Annotated[int | None, typer.Option(min=1, max=1000, help="So many rows that score lowest; default 3.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .json file to write it to, all columns of it.")] = None,
    id_column: Annotated[
        str | None, typer.Option("--id", help="The column of identifiers; default: as in fit.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Say why rows score as they do: what each column adds, beside a typical row's value."""
    from radogaga._utils.files import write_text
    from radogaga.tabular.scoring import lowest, row_of
    from radogaga.tabular.summary import as_json, explanations

    if row is not None and top is not None:
        raise InputError("Expected --row or --top; got both. Drop one.")
    if out is not None and out.suffix.lower() != ".json":
        raise InputError(f"Expected a file to write that ends in .json; got {out}. Rename it.")
    estimator, id_column = _load(model, id_column)
    with _notes(), _progress("rows scored", quiet) as progress:
        if row is not None:
            chosen = row_of(estimator, data, row, id_column=id_column)
        else:
            chosen = lowest(estimator, data, top or 3, id_column=id_column, progress=progress)
    named = hasattr(estimator, "feature_names_in_")
    explanation = estimator.explain(chosen.frame if named else chosen.frame.to_numpy())
    if out is not None:
        write_text(out, json.dumps(as_json(estimator, explanation, chosen), indent=2) + "\n")
    console = Console(quiet=quiet)
    for part in explanations(estimator, explanation, chosen):
        console.print(part)


def inspect_estimator(folder: Path, html: Path | None) -> None:
    """Say what a saved estimator is: its columns, its spectrum, how isometric it is, how it was trained."""
    from radogaga._utils.files import write_text
    from radogaga.tabular.estimator import RaDOGAGA
    from radogaga.tabular.storage import read
    from radogaga.tabular.summary import page, portrait

    estimator = RaDOGAGA.load(folder)
    version = read(folder)["radogaga"]
    if html is not None:
        write_text(html, page(estimator, f"{folder.name}: saved by radogaga {version}"))
    console = Console()
    console.print(f"{folder}: saved by radogaga {version}", markup=False, highlight=False, soft_wrap=True)
    for part in portrait(estimator):
        console.print(part, highlight=False)


def register(app: typer.Typer) -> None:
    """Add the words to the program."""
    for command in (fit, score, explain):
        app.command()(command)


def _load(folder: Path, id_column: str | None) -> tuple[RaDOGAGA, str | None]:
    from radogaga.tabular.estimator import RaDOGAGA
    from radogaga.tabular.storage import read

    model = RaDOGAGA.load(folder)
    return model, id_column or read(folder)["notes"].get("id")


def _listed(names: Any) -> str:
    names = list(map(str, names))
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


@contextmanager
def _notes() -> Iterator[None]:
    """Print warnings as lines of the program's own."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    console = Console(stderr=True)
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            console.print(f"radogaga: note: {escape(str(warning.message))}", highlight=False, soft_wrap=True)


@contextmanager
def _progress(what: str, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    from radogaga.cli.rendering import steps_with_progress

    console = Console(stderr=True)
    console.quiet = quiet or not console.is_terminal
    with steps_with_progress(what, console) as update:
        yield update
