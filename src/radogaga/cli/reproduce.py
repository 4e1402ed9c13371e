"""``radogaga reproduce``: the paper's experiments from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from radogaga._utils.checks import check_device
from radogaga.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Reproduce the paper's experiments.", rich_markup_mode=None)


@app.command("density")
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
    from radogaga.cli.rendering import run_with_progress
    from radogaga.datasets import toy_path
    from radogaga.datasets.fetch import find
    from radogaga.experiments.runs import claim_folder, write_result
    from radogaga.experiments.toy_density import experiment as density
    from radogaga.experiments.toy_density import report as density_report

    check_device(device)
    path = toy_path(data) if data else find("toy")
    config = density.Config(
        data=str(path) if path else None,
        seeds=seeds or (1 if quick else 5),
        quick=quick,
        seed=seed,
        device=device,
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


@app.command("anomaly")
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
    from radogaga.cli.rendering import run_with_progress
    from radogaga.experiments.anomaly_detection import experiment as anomaly
    from radogaga.experiments.anomaly_detection import report as anomaly_report
    from radogaga.experiments.anomaly_detection import summary as anomaly_summary
    from radogaga.experiments.anomaly_detection.settings import WHERE_FROM
    from radogaga.experiments.runs import claim_folder, kept, write_result

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


@app.command("isometry")
def reproduce_isometry(
    images: Annotated[Path, typer.Option(help="Array of pictures, as `radogaga images prepare` writes it.")],
    out: Annotated[Path, typer.Option(help="Folder for result.json, models, checkpoints, plots and report.html.")],
    metric: Annotated[str, typer.Option(help="What isometric means, by commas: mse, ssim.")] = "mse,ssim",
    model: Annotated[
        str | None,
        typer.Option(
            help="Rows of the table, by commas: recommended, radogaga, radogaga-aligned, radogaga-log, "
            "radogaga-log-aligned, beta-vae, beta-vae-plain, beta-vae-rescaled, pca; default: all."
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="Networks: small (32 latents), or the paper's (256).")] = "small",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps of each row; default 4,000, or the paper's 500,000.")
    ] = None,
    precision: Annotated[str, typer.Option(help="What networks compute in while training: fp32 or bf16.")] = "fp32",
    resume: Annotated[
        bool,
        typer.Option("--resume/--restart", help="Go on with the runs that are kept in --out, or remove them first."),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Draws starts, batches and noise.")] = 0,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, ...")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Experiment 5.1: how isometric embeddings of pictures are, every model under two metrics, as a report."""
    from radogaga.experiments.image_isometry import experiment as isometry
    from radogaga.experiments.image_isometry import report as isometry_report
    from radogaga.experiments.image_isometry.progress import train_with_progress
    from radogaga.experiments.runs import claim_folder, write_result

    check_device(device)
    config = isometry.Config(
        images=images,
        out=out,
        metrics=tuple(metric.split(",")),
        models=tuple(model.split(",")) if model else isometry.MODELS,
        size=_one_of("--size", size, ("small", "paper")),
        steps=steps or isometry.STEPS[size],
        precision=_one_of("--precision", precision, ("fp32", "bf16")),
        seed=seed,
        device=device,
    )
    console = Console(quiet=quiet)
    isometry.check(config)
    claim_folder(out, config.fixed(), restart=not resume)
    rows = train_with_progress(config, console)
    rows = isometry_report.with_pca(out, rows)
    write_result(out, "isometry", config.described(), rows)
    isometry_report.write(out, config, rows)
    wide = Console(quiet=quiet, width=max(console.width, 140))
    wide.print(isometry_report.terminal_table(rows))
    console.print(f"Report: {out / 'report.html'}", soft_wrap=True)


def _one_of(option: str, value: str, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise InputError(f"Expected {option} {' or '.join(known)}; got {value!r}.")
    return value
