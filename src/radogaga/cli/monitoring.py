"""The program's commands for a model at work: drift and evaluate."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radogaga.errors import InputError

if TYPE_CHECKING:
    from radogaga.tabular.evaluation import Evaluation
    from radogaga.tabular.monitoring import Drift

_MODEL = typer.Argument(help="Folder that fit wrote.")
_ID = typer.Option("--id", help="The column of identifiers; default: as in fit.")
_FORCE = typer.Option("--force", help="Replace any file that is there.")
_OUT = typer.Option(help="A .json file to write it to.")
_MAX_COLUMNS = 20


def drift(
    model: Annotated[Path, _MODEL],
    data: Annotated[Path, typer.Argument(help="The rows to compare with the training rows.")],
    out: Annotated[Path | None, _OUT] = None,
    id_column: Annotated[str | None, _ID] = None,
    force: Annotated[bool, _FORCE] = False,
) -> None:
    """Say whether rows look different from the training rows: their scores, and each column."""
    from radogaga.cli.rendering import progress_bar, warnings_as_notes
    from radogaga.tabular.model import TabularModel
    from radogaga.tabular.scoring import measure_drift

    _check_json(out, force=force)
    fitted = TabularModel.load(model)
    with warnings_as_notes(), progress_bar("rows read") as progress:
        found = measure_drift(fitted, data, id_column=id_column, progress=progress)
    if out is not None:
        moved = {column.column for column in found.moved}
        content = asdict(found) | {"drifted": found.found, "scores_drifted": found.scores_drifted}
        content["columns"] = [asdict(column) | {"moved": column.column in moved} for column in found.columns]
        _write_json(out, content)
    _print_drift(found)
    if fitted.training_columns is None:
        typer.echo("An earlier version wrote the model: columns cannot be compared. Fit again.")


def evaluate(
    model: Annotated[Path, _MODEL],
    data: Annotated[Path, typer.Argument(help="Rows with labels.")],
    label: Annotated[str, typer.Option(help="The column that says which rows are anomalies: 0 and 1, true and false.")],
    anomaly: Annotated[str | None, typer.Option(help="The label of anomalies, where labels are other words.")] = None,
    out: Annotated[Path | None, _OUT] = None,
    id_column: Annotated[str | None, _ID] = None,
    force: Annotated[bool, _FORCE] = False,
) -> None:
    """Say how well scores tell labelled anomalies from other rows, and what thresholds would cost."""
    from radogaga.cli.rendering import progress_bar, warnings_as_notes
    from radogaga.tabular.evaluation import evaluate as evaluate_scores
    from radogaga.tabular.evaluation import read_labels
    from radogaga.tabular.model import TabularModel
    from radogaga.tabular.scoring import score_with_labels

    _check_json(out, force=force)
    fitted = TabularModel.load(model)
    with warnings_as_notes(), progress_bar("rows scored") as progress:
        scores, labels = score_with_labels(fitted, data, label, id_column=id_column, progress=progress)
    found = evaluate_scores(fitted.calibration, scores, read_labels(labels, anomaly))
    if out is not None:
        _write_json(out, asdict(found))
    _print_evaluation(found)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(drift)
    app.command()(evaluate)


def _print_drift(found: Drift) -> None:
    from rich.console import Console

    from radogaga.cli.rendering import text_table

    typer.echo(str(found))
    typer.echo(f"scores: distance {found.score_distance:.3f}, p-value {found.score_p_value:.2g}")
    moved = {column.column for column in found.moved}
    rows = [
        (
            column.column,
            "moved" if column.column in moved else "",
            f"{column.distance:.3f}",
            f"{column.p_value:.2g}",
            column.where,
            f"{column.before:.1%}",
            f"{column.now:.1%}",
        )
        for column in found.columns[:_MAX_COLUMNS]
    ]
    if rows:
        heads = ("column", "", "distance", "p-value", "most at", "training", "now")
        Console().print(text_table(heads, rows, right=(2, 3, 5, 6)), highlight=False)
    if others := len(found.columns) - len(rows):
        typer.echo(f"... {others} more with smaller distances")


def _print_evaluation(found: Evaluation) -> None:
    from rich.console import Console

    from radogaga.cli.rendering import text_table

    typer.echo(
        f"{found.rows:,} rows, {found.anomalies:,} anomalies ({found.anomalies / found.rows:.2%}): "
        f"AUROC {found.auroc:.3f}, AUPRC {found.auprc:.3f}"
    )
    typer.echo("precision " + ", ".join(f"at {k:,}: {share:.1%}" for k, share in found.precision_at.items()))
    rows = [
        (
            cost.rule,
            f"{cost.threshold:.2f}",
            f"{cost.alarms:,}",
            f"{cost.hits:,}",
            f"{cost.false_alarms:,}",
            f"{cost.hits / cost.alarms:.1%}" if cost.alarms else "",
            f"{cost.hits / found.anomalies:.1%}",
        )
        for cost in found.thresholds
    ]
    heads = ("threshold by", "nats", "alarms", "hits", "false alarms", "precision", "recall")
    Console().print(text_table(heads, rows, right=(1, 2, 3, 4, 5, 6)), highlight=False)


def _check_json(out: Path | None, *, force: bool) -> None:
    from radogaga._utils.files import check_may_replace

    if out is None:
        return
    if out.suffix.lower() != ".json":
        raise InputError(f"Expected a file to write that ends in .json; got {out}. Rename it.")
    check_may_replace(out, _is_ours, force=force)


def _is_ours(path: Path) -> bool:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "radogaga" in content


def _write_json(out: Path, content: dict[str, Any]) -> None:
    from radogaga._utils.files import write_text
    from radogaga.version import __version__

    write_text(out, json.dumps({"radogaga": __version__, **content}, indent=2) + "\n")
