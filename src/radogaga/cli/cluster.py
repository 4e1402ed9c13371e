"""Options of commands that compute in several processes or on several machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from radogaga.tabular.files.parts import Map

WORKERS = typer.Option(min=1, help="Compute in this many processes, by Ray: here, or on --cluster.")
CLUSTER = typer.Option(metavar="ADDRESS", help="A Ray cluster to compute on: host:port, ray://host:port or auto.")


@contextmanager
def map_by(address: str | None, workers: int | None, device: str = "cpu") -> Iterator[Map]:
    """Give what calls a function for each file: `map` itself, or that of a cluster."""
    if address is None and workers is None:
        yield map
        return
    from radogaga.integrations.ray import cluster, map_on, processors

    with cluster(address):
        yield map_on(workers or processors(), device=device)
