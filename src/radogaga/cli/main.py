"""The program ``radogaga``: words on the command line to objects, errors to one line and an exit status.

Commands import what they need when they run, so that help and version come at once.
"""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated

import typer

from radogaga.cli import data, images, monitoring, reproduce, scoring, serve, tables
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
tables.register(app)
scoring.register(app)
monitoring.register(app)
serve.register(app)
app.add_typer(images.app, name="images")
app.add_typer(reproduce.app, name="reproduce")
app.add_typer(data.app, name="data")


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


def main() -> None:
    """Run the program; a person's mistake, or a full disk, ends in one line on the error stream and exit status 2."""
    # So that what is not yet whole is removed.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # none where it was closed
            stream.reconfigure(errors="replace")  # a terminal that knows ASCII alone shows ? for other letters
    try:
        app()
    except InputError as error:
        typer.echo(f"radogaga: {error}", err=True)
        sys.exit(2)
    except (OSError, MemoryError) as error:
        where = f" {error.filename}" if isinstance(error, OSError) and error.filename else ""
        reason = getattr(error, "strerror", None) or error
        typer.echo(
            f"radogaga: Expected to go on; it failed{where} ({reason or 'out of memory'}). Free space?", err=True
        )
        sys.exit(2)
