"""``radogaga data``: the experiments' data files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The experiments' data files.", rich_markup_mode=None)


@app.command("list")
def data_list() -> None:
    """Say what files the experiments need: rows x columns, size, licence and origin, and where each lies."""
    from radogaga.datasets.fetch import FILES, find

    for name, file in FILES.items():
        rows, columns = file.shape
        shape = f"{rows:,} x {columns}"
        typer.echo(f"{name:<12}{shape:>14}{file.size / 1e6:>7.2f} MB  {find(name) or 'not here'}")
        typer.echo(f"{'':12}{file.origin}")


@app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="Which file, as `radogaga data list` names it, or: all.")],
    folder: Annotated[
        Path | None, typer.Option(help="Data folder to put it in; default: RADOGAGA_DATA, or else the user's cache.")
    ] = None,
) -> None:
    """Fetch a file of the experiments, check it and print where it lies; one that is there already is kept."""
    from radogaga.cli.rendering import progress_bar
    from radogaga.datasets.fetch import FILES, fetch

    for wanted in FILES if name == "all" else [name]:
        with progress_bar(wanted) as progress:
            path = fetch(wanted, folder=folder, progress=progress)
        typer.echo(str(path))
