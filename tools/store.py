"""Keep an experiment's result as a JSON file in results/, with the versions and the machine that gave it.

    python tools/store.py NAME DIR [DIR ...] --command "radogaga reproduce ..." [--about TEXT] [--set size=64]

NAME is that of the file to replace, ``toy_density`` for results/toy_density.json say. Each DIR holds a ``result.json``;
several have to come from one environment. ``--set`` gives the rows of the DIR in its place a column of their own. Then
``make figures`` writes the pages.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from radogaga.experiments.anomaly_detection.summary import summary
from radogaga.experiments.toy_density.report import medians

RESULTS = Path(__file__).resolve().parent.parent / "results"
PLACE = ("machine", "system", "accelerator")

Row = dict[str, Any]
Rows = Sequence[Row]


def _with_minutes(rows: Rows) -> list[Row]:
    return [row | ({"minutes": round(row["seconds"] / 60)} if row["model"] != "pca" else {}) for row in rows]


def _rounded(rows: Rows) -> list[Row]:
    return [{key: round(v, 5) if isinstance(v, float) else v for key, v in row.items()} for row in rows]


REDUCE: dict[str, Callable[[Rows], list[Row]]] = {
    "density": medians,
    "anomaly": summary,
    "isometry": _with_minutes,
    "oddbench": _rounded,
    "adbench": _rounded,
    "likelihood": _rounded,
}
"""An experiment's runs to the rows that are published."""


def stored(results: Sequence[dict[str, Any]], columns: Sequence[Row], command: str, about: str) -> dict[str, Any]:
    """Return what a file in results/ holds, of one or several ``result.json`` and what to add to the rows of each."""
    environment = results[0]["environment"]
    if any(result["environment"] != environment for result in results):
        sys.exit("Expected results of one environment; got several. Store them in files of their own.")
    rows = []
    for result, own in zip(results, columns, strict=True):
        own = {key: result["config"][key] for key in ("steps",) if key in result["config"]} | own
        rows += [row | own for row in REDUCE[result["experiment"]](result["rows"])]
    return {
        "about": about,
        "command": command,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "versions": {name: value for name, value in environment.items() if name not in PLACE},
        "machine": ", ".join(f"{name} {environment[name]}" for name in PLACE if name in environment),
        "rows": rows,
    }


def as_text(result: dict[str, Any]) -> str:
    """Return a result as JSON with a line for each row."""
    head = json.dumps({key: value for key, value in result.items() if key != "rows"}, indent=1, ensure_ascii=False)
    rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in result["rows"])
    return f'{head[:-2]},\n "rows": [\n{rows}\n ]\n}}\n'


def main() -> None:
    """Store a result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--command", required=True)
    parser.add_argument("--about", help="one sentence on what the rows are; default: that of the file to replace")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=NUMBER", help="once for each DIR")
    options = parser.parse_args()
    results = [json.loads((folder / "result.json").read_text()) for folder in options.folders]
    columns = [{key: int(value)} for key, value in (pair.split("=") for pair in options.set)] or [{} for _ in results]
    path = RESULTS / f"{options.name}.json"
    about = options.about or (json.loads(path.read_text())["about"] if path.is_file() else None)
    if not about:
        sys.exit(f"Expected --about, since there is no {path.name} yet. Say in one sentence what the rows are.")
    path.write_text(as_text(stored(results, columns, options.command, about)))


if __name__ == "__main__":
    main()
