"""The program's command that scores rows, of one file or of many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from radogaga.cli.cluster import CLUSTER, WORKERS, is_torchruns, map_by
from radogaga.errors import InputError

if TYPE_CHECKING:
    from radogaga.tabular.model import TabularModel

_TABLE = "A .csv, .csv.gz, .tsv, .parquet, .arrow or .feather file."
_MANY = "Or many: a folder, a pattern such as 'big/*.parquet', or a URL of these."
_WRITTEN = "A .csv, .parquet, .arrow or .feather file; of many files a folder."
# Some of any new rows lie outside the range of the training rows; more than this share is worth a line.
_MAX_OUTSIDE = 0.02
_MAX_LINES = 20


class _Scored(Protocol):
    """What is told of one file and of many alike."""

    @property
    def rows(self) -> int: ...
    @property
    def alarms(self) -> int: ...
    @property
    def novel(self) -> Mapping[str, int]: ...
    @property
    def outside(self) -> Mapping[str, int]: ...
    @property
    def left_out(self) -> list[str]: ...


def score(
    model: Annotated[Path, typer.Argument(help="Folder that fit wrote.")],
    data: Annotated[str, typer.Argument(help=f"The rows to score, of any number. {_TABLE} {_MANY}")],
    out: Annotated[Path, typer.Option(help=f"Where to write id or row, score, p-value, alarm, reasons. {_WRITTEN}")],
    reasons: Annotated[int, typer.Option(min=0, max=100, help="For how many columns to say why, for alarms.")] = 0,
    fdr: Annotated[
        float | None, typer.Option(help="Select rows too: of those at most this share is normal, 0.1 say.")
    ] = None,
    id_column: Annotated[
        str | None, typer.Option("--id", help="The column of identifiers; default: as in fit.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Of many files, end well in spite of those that cannot be scored.")
    ] = False,
    cluster: Annotated[str | None, CLUSTER] = None,
    workers: Annotated[int | None, WORKERS] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, ...")] = "cpu",
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace a file that this program did not write; of many, score all again."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors and warnings.")] = False,
) -> None:
    """Score the rows of a file, in memory that does not grow with it: log density, p-value, alarm, reasons.

    Many files are scored one by one to a folder. The same command goes on where an earlier one was stopped.
    """
    from radogaga.cli.rendering import warnings_as_notes
    from radogaga.tabular.files.parts import is_many
    from radogaga.tabular.model import TabularModel

    many, spread = is_many(data), cluster is not None or workers is not None
    _check(out, fdr, many=many, spread=spread, force=force)
    # On a cluster the workers have the device.
    fitted = TabularModel.load(model, device="cpu" if spread else device)
    with warnings_as_notes():
        if many:
            options = {"id_column": id_column, "reasons": reasons, "device": device, "again": force}
            with map_by(cluster, workers, device) as map_parts:
                _score_parts(fitted, data, out, skip_bad=skip_bad, quiet=quiet, map_parts=map_parts, **options)
        else:
            _score_file(fitted, Path(data), out, id_column, reasons, fdr, quiet=quiet)


def refuse_bad(bad: Mapping[str, str], parts: int, *, skip: bool) -> None:
    """Name the files that cannot be used, a line for each, and raise `InputError` unless they are to be skipped."""
    from radogaga._utils.checks import list_names

    for name, reason in bad.items():
        typer.echo(f"radogaga: note: {name}: {reason}", err=True)
    if bad and not skip:
        raise InputError(
            f"Expected {parts:,} files that can be read; {len(bad):,} cannot: {list_names(bad)}. "
            "Mend them and run this again, or pass --skip-bad."
        )


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(score)


def _check(out: Path, fdr: float | None, *, many: bool, spread: bool, force: bool) -> None:
    from radogaga._utils.files import check_may_replace
    from radogaga.tabular.scoring import is_scores

    if is_torchruns():
        raise InputError("Expected one process that scores; torchrun has started several. Pass --workers instead.")
    if spread and not many:
        raise InputError("Expected many files for --workers, which takes them one by one; got one. Leave it out.")
    if not many:
        check_may_replace(out, is_scores, force=force)
    elif fdr is not None:
        raise InputError("Expected one file for --fdr, which judges all rows together; got many. Select by p_value.")


def _score_file(
    model: TabularModel,
    data: Path,
    out: Path,
    id_column: str | None,
    reasons: int,
    fdr: float | None,
    *,
    quiet: bool,
) -> None:
    from radogaga.cli.rendering import progress_bar
    from radogaga.tabular.scoring import score_file

    with progress_bar("rows scored", quiet=quiet) as progress:
        done = score_file(model, data, out, id_column=id_column, reasons=reasons, fdr=fdr, progress=progress)
    first = _first_line(out, done)
    if done.selected is not None:
        first += f", {done.selected:,} selected (of those at most {fdr:.0%} are normal, in expectation)"
    drift = [f"  drift: {done.drift}"] if done.drift is not None and done.drift.found else []
    _print([first, *drift, *_columns(done)], quiet=quiet)


def _score_parts(model: TabularModel, data: str, out: Path, *, skip_bad: bool, quiet: bool, **options: Any) -> None:
    from radogaga.cli.rendering import progress_bar
    from radogaga.tabular.files.parts import find_parts
    from radogaga.tabular.part_scoring import score_parts

    parts = find_parts(data)
    with progress_bar("files scored", quiet=quiet) as progress:
        done = score_parts(model, parts, out, progress=progress, **options)
    first = f"{_first_line(out, done)} in {len(done.parts):,} of {len(parts):,} files"
    lines = [f"{first}, {done.before:,} of them by an earlier run" if done.before else first]
    lines += [f"  drift: {name}: {drift}" for name, drift in list(done.drifted.items())[:_MAX_LINES]]
    if done.others:
        lines.append(f"  {out} holds scores of {done.others:,} files that are not among these, too")
    _print([*lines, *_columns(done)], quiet=quiet)
    refuse_bad(done.bad, len(parts), skip=skip_bad)


def _first_line(out: Path, done: _Scored) -> str:
    plural = "" if done.alarms == 1 else "s"
    return f"{out}: {done.rows:,} rows, {done.alarms:,} alarm{plural} ({done.alarms / max(done.rows, 1):.2%})"


def _columns(done: _Scored) -> Iterator[str]:
    """Yield what is told of single columns."""
    from radogaga._utils.checks import list_names

    for name, count in list(done.novel.items())[:_MAX_LINES]:
        yield f"  {name}: never seen in training in {count:,} rows"
    for name, count in list(done.outside.items())[:_MAX_LINES]:
        if count > _MAX_OUTSIDE * done.rows:
            yield f"  {name}: outside what training held in {count:,} of {done.rows:,} rows"
    if done.left_out:
        yield f"  not used: {list_names(done.left_out, shown=8)}"


def _print(lines: Sequence[str], *, quiet: bool) -> None:
    if not quiet:
        for line in lines:
            typer.echo(line)
