"""Options of commands that compute in several processes or on several machines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from radogaga.tabular.files.parts import Map

WORKERS = typer.Option(min=1, help="Compute in this many processes, by Ray: here, or on --cluster.")
CLUSTER = typer.Option(metavar="ADDRESS", help="A Ray cluster to compute on: host:port, ray://host:port or auto.")


def is_torchruns() -> bool:
    """Return whether this is one of several processes that ``torchrun`` has started."""
    return int(os.environ.get("WORLD_SIZE", 1)) > 1


@contextmanager
def workers_of_torchrun(device: str) -> Iterator[bool]:
    """Join the workers that ``torchrun`` has started, and give whether this is the one that writes and prints."""
    if not is_torchruns():
        yield True
        return
    from radogaga.method.training.distributed import is_main, process_group

    with process_group(device):
        yield is_main()


@contextmanager
def map_by(address: str | None, workers: int | None, device: str = "cpu") -> Iterator[Map]:
    """Give what calls a function for each file: `map` itself, or that of a cluster."""
    if address is None and workers is None:
        yield map
        return
    from radogaga.integrations.ray import cluster, map_on, processors

    with cluster(address):
        yield map_on(workers or processors(), device=device)
