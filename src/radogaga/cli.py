"""The program ``radogaga``: words on the command line to objects, errors to one line and an exit status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

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
reproduce = typer.Typer(no_args_is_help=True, help="Reproduce the paper's experiments.", rich_markup_mode=None)
app.add_typer(reproduce, name="reproduce")
data_app = typer.Typer(no_args_is_help=True, help="The experiments' data files.", rich_markup_mode=None)
app.add_typer(data_app, name="data")
images_app = typer.Typer(no_args_is_help=True, help="Pictures as arrays.", rich_markup_mode=None)
app.add_typer(images_app, name="images")


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


@reproduce.command("density")
def reproduce_density(
    out: Annotated[Path, typer.Option(help="Folder for result.json, the plots and report.html.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="The authors' toy.csv, or a folder with toy/toy.csv; default: RADOGAGA_DATA, or rows by the same law."
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds; default 5, or 1 with --quick.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    sources: Annotated[str, typer.Option(help="Which data, by commas.")] = "flat,rolled,warped",
    methods: Annotated[str | None, typer.Option(help="Which rows of the table, by commas; default: all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A fifth of the training steps.")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs side by side; default: the number of cores.")] = None,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, ...")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Experiment 5.2: estimated against true densities on three toy sources, every method, as a report."""
    from radogaga.datasets import toy_path
    from radogaga.datasets.fetch import find
    from radogaga.experiments import density, density_report
    from radogaga.experiments.runs import claim_folder, write_result
    from radogaga.progress import run_with_progress

    path = toy_path(data) if data else find("toy")
    config = density.Config(
        data=str(path) if path else None,
        seeds=seeds or (1 if quick else 5),
        quick=quick,
        seed=seed,
        device=_usable_device(device),
        sources=tuple(sources.split(",")),
        methods=tuple(methods.split(",")) if methods else density.Config.methods,
    )
    console = Console(quiet=quiet)
    runs = density.plan(config)
    claim_folder(out, config.fixed())
    rows = run_with_progress(runs, out, jobs=jobs, console=console)
    write_result(out, "density", config.described(), rows)
    density_report.write(out, config, rows)
    console.print(density_report.terminal_table(rows))
    console.print(f"Report: {out / 'report.html'}", soft_wrap=True)


@reproduce.command("anomaly")
def reproduce_anomaly(
    out: Annotated[Path, typer.Option(help="Folder for result.json, the tables, the plots and report.html.")],
    data: Annotated[str, typer.Option(help="Which data sets, by commas.")] = "kddcup,kddcup-rev,thyroid,arrhythmia",
    methods: Annotated[
        str | None,
        typer.Option(help="Rows of the table or families (published, chosen, untuned, peer), by commas; default: all."),
    ] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Random halves; default 20, or 3 with --quick.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The first run's seed.")] = 0,
    columns: Annotated[int, typer.Option(help="Columns that KDDCup is written in: 121, 120 or 118.")] = 121,
    quick: Annotated[bool, typer.Option("--quick", help="A fifth of the training steps, 3 runs.")] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Train the published family as long as it was published: hours.")
    ] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing: write the report of the runs that are kept in --out.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs side by side; default: the number of cores.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Experiment 5.3: anomalies found on four data sets over random halves, beside what others find, as a report."""
    from radogaga.experiments import anomaly, anomaly_report, anomaly_summary
    from radogaga.experiments.anomaly_settings import WHERE_FROM
    from radogaga.experiments.runs import claim_folder, kept, write_result
    from radogaga.progress import run_with_progress

    if quick and published:
        raise InputError("Expected --quick or --published; got both. Drop one.")
    config = anomaly.Config(
        data=tuple(data.split(",")),
        methods=anomaly.named_methods(methods.split(",") if methods else list(anomaly.FAMILIES)),
        runs=runs or (anomaly.QUICK_RUNS if quick else 20),
        quick=quick,
        published=published,
        seed=seed,
        columns=columns,
    )
    console = Console(quiet=quiet)
    plan = anomaly.plan(config)
    claim_folder(out, config.fixed())
    rows = kept(plan, out) if report_only else run_with_progress(plan, out, jobs=jobs, console=console)
    if not rows:
        raise InputError(f"Expected runs in {out}; there are none of these yet. Drop --report-only.")
    rows = anomaly.with_differences(rows)
    write_result(out, "anomaly", config.described(), rows)
    anomaly_summary.write_csv(out, rows)
    anomaly_report.write(out, config, rows, WHERE_FROM, anomaly.selection(config))
    # Too wide for many a terminal: better lines that fold than figures that are cut off.
    wide = Console(quiet=quiet, width=max(console.width, 140))
    wide.print(anomaly_summary.terminal_table(rows))
    console.print(f"Report: {out / 'report.html'}", soft_wrap=True)


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


@images_app.command("prepare")
def images_prepare(
    source: Annotated[Path, typer.Argument(help="Folder, zip or tar of pictures, or Fashion-MNIST's idx files.")],
    out: Annotated[Path, typer.Option(help="Array to write, a .npy file; a .json beside it says what is in it.")],
    size: Annotated[int, typer.Option(min=1, help="Pixels on a side.")] = 64,
    crop: Annotated[
        str,
        typer.Option(help="What is kept of each picture: the largest centre square, or a square of so many pixels."),
    ] = "centre",
    split: Annotated[
        str | None, typer.Option(help="by-folder: no folder (a person, say) in both the training and the test half.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Make one memory-mapped array of pictures, cropped and resized, and list what could not be read."""
    from radogaga.images import prepare_images
    from radogaga.progress import steps_with_progress

    if crop != "centre" and not (crop.isdecimal() and int(crop)):
        raise InputError(f"Expected --crop centre or a number of pixels; got {crop!r}.")
    if split not in (None, "by-folder"):
        raise InputError(f"Expected --split by-folder; got {split!r}.")
    console = Console(quiet=quiet)
    pixels = None if crop == "centre" else int(crop)
    with steps_with_progress("pictures", console) as progress:
        made = prepare_images(source, out, size=size, crop=pixels, by_folder=split == "by-folder", progress=progress)
    shape = " x ".join(map(str, made.shape))
    console.print(f"{made.array}: {shape}, {made.test:,} of them to test on", highlight=False, soft_wrap=True)
    for name, reason in list(made.skipped.items())[:20]:
        console.print(Text(f"  left out: {name} ({reason})"), soft_wrap=True)
    if len(made.skipped) > 20:
        console.print(f"  ... {len(made.skipped):,} in all, listed in {made.manifest}", highlight=False, soft_wrap=True)


@app.command()
def inspect(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model.")],
) -> None:
    """Say what a saved model is made of: its parts, their settings, how many parameters."""
    from radogaga.storage import load, read_structure

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


def _usable_device(name: str) -> str:
    import torch

    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"Expected a device that torch can use; got {name!r} ({reason}). Try --device cpu.") from None
    return name


def main() -> None:
    """Run the program; a person's mistake ends in one line on the error stream and exit status 2."""
    try:
        app()
    except InputError as error:
        Console(stderr=True).print(f"radogaga: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
