"""The program's command serve: a fitted model as a service over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radogaga.errors import InputError


def serve(
    model: Annotated[Path, typer.Argument(help="Folder that fit wrote.")],
    host: Annotated[str, typer.Option(help="Where to listen; beyond this machine only with a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 for any that is free.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="A file with the token that requests carry: Authorization: Bearer TOKEN.")
    ] = None,
    max_rows: Annotated[int, typer.Option(min=1, help="Rows of a request at most.")] = 100_000,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="Megabytes (2^20) of a body at most.")] = 32,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for a body to come, and for an answer.")] = 30,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes, each with the model in memory.")] = 1,
    watch: Annotated[bool, typer.Option("--watch", help="Load the model anew when its folder changes.")] = False,
) -> None:
    """Answer requests over HTTP: scores, explanations, latents. SIGHUP loads the model anew."""
    try:
        from radogaga.integrations.server.run import read_token, run
    except ImportError as error:
        raise InputError(
            f"Expected what a service needs; {error.name} is missing: pip install 'radogaga[serve]'."
        ) from None
    from radogaga.integrations.server.settings import Settings

    token = None if token_file is None else read_token(token_file)
    settings = Settings(model, token, max_rows, int(max_megabytes * 2**20), timeout, watch)
    run(settings, host=host, port=port, workers=workers, announce=lambda line: typer.echo(f"serving {line}", err=True))


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(serve)
