"""The program's commands for tables: fit, explain and inspect."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radogaga.cli.cluster import CLUSTER, WORKERS, map_by, workers_of_torchrun
from radogaga.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from radogaga.tabular.files.parts import Map
    from radogaga.tabular.model import TabularModel

_TABLE = "A .csv, .csv.gz, .tsv, .parquet, .arrow or .feather file."
_MANY = "Or many: a folder, a pattern such as 'big/*.parquet', or a URL of these."
_MODEL = typer.Argument(help="Folder that fit wrote.")
_ID = typer.Option("--id", help="The column of identifiers; default: as in fit.")
_FORCE = typer.Option("--force", help="Replace a file that this program did not write.")
_DEVICE = typer.Option(help="Where to compute: cpu, cuda, ...")
_QUIET = typer.Option("--quiet", help="Print nothing but errors and warnings.")


def fit(
    data: Annotated[str, typer.Argument(help=f"The rows to learn from. {_TABLE} {_MANY}")],
    out: Annotated[Path, typer.Option(help="Folder for the model; a model that is there already is replaced.")],
    drop: Annotated[list[str] | None, typer.Option(help="A column to leave out; may be given again.")] = None,
    id_column: Annotated[
        str | None, typer.Option("--id", help="The column of identifiers: kept, not modelled.")
    ] = None,
    alarm_rate: Annotated[
        float | None, typer.Option(help="The highest share of false alarms, 0.001 say; default: near 0.01.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws all that is random.")] = 0,
    max_steps: Annotated[int, typer.Option(min=0, help="Training steps at most.")] = 300,
    keep_position: Annotated[
        bool,
        typer.Option("--keep-position", help="Judge when dates are, too, and numbers that only grow from row to row."),
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option(
            min=1, help="Learn from this many rows, drawn uniformly; default: all of a file, 100,000 of many."
        ),
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on without files that cannot be read.")] = False,
    cluster: Annotated[str | None, CLUSTER] = None,
    workers: Annotated[int | None, WORKERS] = None,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, ...")] = "cpu",
    quiet: Annotated[bool, _QUIET] = False,
) -> None:
    """Learn a density from a table: numbers, categories, dates, missing values, with nothing to choose."""
    from radogaga._utils.checks import check_device
    from radogaga._utils.storage import check_replaceable
    from radogaga.cli.rendering import progress_bar, warnings_as_notes
    from radogaga.tabular.estimator import RaDOGAGA

    if alarm_rate is not None and not 0 < alarm_rate <= 0.5:
        raise InputError(f"Expected an --alarm-rate above 0 and at most 0.5; got {alarm_rate}. Try 0.01.")
    check_device(device)
    check_replaceable(out)
    left_out = [*(drop or []), *([] if id_column is None else [id_column])]
    estimator = RaDOGAGA(
        alarm_rate=alarm_rate,
        max_steps=max_steps,
        keep_position=keep_position,
        random_state=seed,
        device=device,
    )
    with workers_of_torchrun(device) as is_main:
        with map_by(cluster, workers) as map_parts:
            frame = _read_rows(data, rows, seed, left_out, map_parts, skip_bad=skip_bad, quiet=quiet)
        with warnings_as_notes(), progress_bar("training", quiet=quiet or not is_main) as update:
            done = 0

            def advance(steps: int) -> None:
                nonlocal done
                done += steps
                update(done, max_steps)

            estimator.fit(frame, progress=advance)
        model = replace(estimator.model_, id_column=id_column)
        if is_main:
            model.save(out)
            _tell_of_fit(model, out, quiet=quiet)


def explain(
    model: Annotated[Path, _MODEL],
    data: Annotated[Path, typer.Argument(help=f"The file of the rows. {_TABLE}")],
    row: Annotated[int | None, typer.Option(min=0, help="Which row, counted from 0.")] = None,
    top: Annotated[int | None, typer.Option(min=1, max=1000, help="The rows that score lowest; default 3.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .json file to write it to, all columns of it.")] = None,
    id_column: Annotated[str | None, _ID] = None,
    device: Annotated[str, _DEVICE] = "cpu",
    force: Annotated[bool, _FORCE] = False,
    quiet: Annotated[bool, _QUIET] = False,
) -> None:
    """Say why rows score as they do: what each column adds, beside a typical row's value."""
    from radogaga._utils.files import check_may_replace, write_text
    from radogaga.cli.rendering import progress_bar, show_explanations, warnings_as_notes
    from radogaga.tabular.model import TabularModel
    from radogaga.tabular.scoring import lowest_rows, nth_row
    from radogaga.tabular.summary import are_explanations, explanations_as_json

    if row is not None and top is not None:
        raise InputError("Expected --row or --top; got both. Drop one.")
    if out is not None and out.suffix.lower() != ".json":
        raise InputError(f"Expected a file to write that ends in .json; got {out}. Rename it.")
    if out is not None:
        check_may_replace(out, are_explanations, force=force)
    fitted = TabularModel.load(model, device=device)
    with warnings_as_notes(), progress_bar("rows scored", quiet=quiet) as progress:
        if row is not None:
            selected = nth_row(fitted, data, row, id_column=id_column)
        else:
            selected = lowest_rows(fitted, data, top or 3, id_column=id_column, progress=progress)
    named = fitted.encoder.names is not None
    explanation = fitted.explain(selected.frame if named else selected.frame.to_numpy())
    if out is not None:
        content = explanations_as_json(fitted, explanation, selected)
        write_text(out, json.dumps(content, indent=2) + "\n")
    _print_parts(show_explanations(fitted, explanation, selected), quiet=quiet)


def inspect(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model.")],
    html: Annotated[Path | None, typer.Option(help="A page to write, of a table's model.")] = None,
    device: Annotated[str, _DEVICE] = "cpu",
    force: Annotated[bool, _FORCE] = False,
) -> None:
    """Say what a saved model is: columns, spectrum, isometry and training, or its parts and their settings."""
    from radogaga._utils.files import check_may_replace, write_text
    from radogaga._utils.html import is_page
    from radogaga._utils.storage import load, read_structure
    from radogaga.cli.rendering import show_model, show_parts
    from radogaga.tabular.model import TabularModel

    if html is not None:
        check_may_replace(html, is_page, force=force)
    structure, fitted = read_structure(model), load(model, device=device)
    title = f"saved by radogaga {structure['radogaga']}"
    if not isinstance(fitted, TabularModel):
        if html is not None:
            raise InputError(f"Expected the model of a table for --html; got another in {model}. Leave --html out.")
        parameters = sum(parameter.numel() for parameter in fitted.parameters())
        _print_parts([show_parts(f"{model}: {title}, {parameters:,} parameters", structure["model"])])
        return
    if html is not None:
        from radogaga.integrations.model_page import render_page

        write_text(html, render_page(fitted, f"{model.name}: {title}"))
    typer.echo(f"{model}: {title}")
    _print_parts(show_model(fitted))


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (fit, explain, inspect):
        app.command()(command)


def _tell_of_fit(model: TabularModel, out: Path, *, quiet: bool) -> None:
    from radogaga._utils.checks import list_names
    from radogaga.tabular.summary import summarize

    if (dates := model.encoder.date_columns) and not quiet:
        typer.echo(
            f"radogaga: note: of dates the time of day, week and year counts, not when they are: {list_names(dates)}. "
            "Pass --keep-position to judge that, too.",
            err=True,
        )
    _echo(f"{out}: {summarize(model)}", quiet=quiet)


def _read_rows(
    data: str, rows: int | None, seed: int, drop: list[str], map_parts: Map, *, skip_bad: bool, quiet: bool
) -> pd.DataFrame:
    """Return the rows to learn from: of one file all, of many, or if a number is given, a sample."""
    from radogaga.cli.rendering import progress_bar, warnings_as_notes
    from radogaga.cli.scoring import refuse_bad
    from radogaga.tabular.defaults import MAX_ROWS_SAMPLED
    from radogaga.tabular.files.parts import find_parts, is_many
    from radogaga.tabular.files.sampling import sample_rows
    from radogaga.tabular.files.table_files import read

    with warnings_as_notes():
        if rows is None and not is_many(data):
            return read(Path(data), drop=drop)
        parts = find_parts(data)
        with progress_bar("files read", quiet=quiet) as progress:
            sample = sample_rows(
                parts, rows or MAX_ROWS_SAMPLED, seed=seed, drop=drop, map_parts=map_parts, progress=progress
            )
        refuse_bad(sample.bad, len(parts), skip=skip_bad)
    frame = sample.frame()
    if len(frame) < sample.seen:
        drawn = f"radogaga: note: learned from {len(frame):,} of {sample.seen:,} rows, drawn uniformly."
        typer.echo(f"{drawn} Pass --rows for more.", err=True)
    return frame


def _echo(line: str, *, quiet: bool) -> None:
    if not quiet:
        typer.echo(line)


def _print_parts(parts: Any, *, quiet: bool = False) -> None:
    from rich.console import Console

    console = Console(quiet=quiet)
    for part in parts:
        console.print(part, highlight=False)
