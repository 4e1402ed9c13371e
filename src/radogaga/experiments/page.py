"""The parts that the reports of all experiments share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from radogaga._utils import html
from radogaga._utils.files import write_bytes, write_text
from radogaga.experiments.experiment import Config
from radogaga.experiments.runs import environment


def write_report(out: Path, title: str, parts: Sequence[str], config: Config, pictures: Mapping[str, bytes]) -> None:
    """Write the plots as PNG files and ``report.html``, which ends in the configuration and the environment.

    Parameters
    ----------
    out : Path
        The experiment's folder.
    title : str
        The page's title.
    parts : sequence of str
        The page's parts, as `radogaga._utils.html` makes them.
    config : Config
        What the runs were made with.
    pictures : mapping of str to bytes
        Names of the PNG files, without the ending, to their content.
    """
    for name, image in pictures.items():
        write_bytes(out / f"{name}.png", image)
    made = json.dumps({"config": config.described(), "environment": environment()}, indent=2)
    write_text(
        out / "report.html", html.page(title, [*parts, html.heading("How it was made"), html.preformatted(made)])
    )
