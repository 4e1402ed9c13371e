"""The program ``radogaga``: words on the command line to objects, errors to one line and an exit status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from radogaga.cli import images as cli_images
from radogaga.cli import reproduce as cli_reproduce
from radogaga.cli import tables as cli_tables
from radogaga.errors import InputError
from radogaga.version import __version__

app = typer.Typer(
    name="radogaga",
    help="Autoencoders whose latent space is isometric to the data: densities, distances and honest scores.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(cli_reproduce.app, name="reproduce")
data_app = typer.Typer(no_args_is_help=True, help="The experiments' data files.", rich_markup_mode=None)
app.add_typer(data_app, name="data")
app.add_typer(cli_images.app, name="images")
cli_tables.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"radogaga {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options before any command."""


@data_app.command("list")
def data_list() -> None:
    """Say what files the experiments need: rows x columns, size, licence and origin, and where each lies."""
    from radogaga.datasets.fetch import FILES, find

    for name, file in FILES.items():
        rows, columns = file.shape
        shape = f"{rows:,} x {columns}"
        typer.echo(f"{name:<12}{shape:>14}{file.size / 1e6:>7.2f} MB  {find(name) or 'not here'}")
        typer.echo(f"{'':12}{file.origin}")


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="Which file, as `radogaga data list` names it, or: all.")],
    folder: Annotated[
        Path | None, typer.Option(help="Data folder to put it in; default: RADOGAGA_DATA, or else the user's cache.")
    ] = None,
) -> None:
    """Fetch a file of the experiments, check it and print where it lies; one that is there already is kept."""
    from radogaga.datasets.fetch import FILES, fetch

    for wanted in FILES if name == "all" else [name]:
        typer.echo(str(fetch(wanted, folder=folder, progress=True)))


@app.command()
def inspect(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model.")],
    html: Annotated[Path | None, typer.Option(help="A page to write, of a model that fit made.")] = None,
) -> None:
    """Say what a saved model is: columns, spectrum, isometry and training, or its parts and their settings."""
    from radogaga._utils.storage import load, read_structure
    from radogaga.tabular.storage import is_estimator

    if is_estimator(model):
        cli_tables.inspect_estimator(model, html)
        return
    structure = read_structure(model)
    parameters = sum(parameter.numel() for parameter in load(model).parameters())
    tree = Tree(f"{model}: saved by radogaga {structure['radogaga']}, {parameters:,} parameters")
    _grow(tree, "model", structure["model"])
    Console().print(tree, markup=False, highlight=False, soft_wrap=True)


def _grow(tree: Tree, name: str, description: Any) -> None:
    """Add a part of ``model.json``, and the parts that it is made of, to a tree."""
    if not isinstance(description, dict):
        tree.add(Text(f"{name}: {description}"))
    elif "type" in description:
        tree.add(Text(f"{name}: {description['type'].partition(':')[2]}"))
    else:
        branch = tree.add(Text(f"{name}: {description['class'].partition(':')[2]}"))
        for argument, value in description["arguments"].items():
            _grow(branch, argument, value)


def main() -> None:
    """Run the program; a person's mistake ends in one line on the error stream and exit status 2."""
    try:
        app()
    except InputError as error:
        Console(stderr=True).print(f"radogaga: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
