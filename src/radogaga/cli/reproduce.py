"""``radogaga reproduce``: the paper's experiments from the command line."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radogaga.cli.cluster import CLUSTER, WORKERS, workers_of_torchrun
from radogaga.errors import InputError

if TYPE_CHECKING:
    from radogaga.experiments.experiment import Experiment
    from radogaga.experiments.image_isometry.settings import Config

app = typer.Typer(no_args_is_help=True, help="Reproduce the paper's experiments.", rich_markup_mode=None)

Out = Annotated[Path, typer.Option(help="Folder for result.json, the runs, the plots and report.html.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Runs side by side; default: the number of cores.")]
Device = Annotated[str, typer.Option(help="Where to train: cpu, cuda, ...")]
ReportOnly = Annotated[
    bool, typer.Option("--report-only", help="Run nothing: write the report of the runs that are kept in --out.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]


@app.command("density")
def reproduce_density(
    out: Out,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The authors' toy.csv, or a folder with toy/toy.csv; default: RADOGAGA_DATA, or rows drawn from the "
            "same distribution."
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds; default 5, or 1 with --quick.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    sources: Annotated[str, typer.Option(help="Which data, by commas.")] = "flat,rolled,warped",
    methods: Annotated[str | None, typer.Option(help="Which rows of the table, by commas; default: all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A fifth of the training steps.")] = False,
    report_only: ReportOnly = False,
    jobs: Jobs = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Experiment 5.2: estimated against true densities on three toy sources, every method, as a report."""
    from radogaga._utils.checks import check_device
    from radogaga.cli.experiment_rendering import reproduce_with_progress
    from radogaga.datasets.fetch import find
    from radogaga.datasets.toy import toy_path
    from radogaga.experiments.toy_density.experiment import TOY_DENSITY
    from radogaga.experiments.toy_density.settings import Config

    check_device(device)
    path = toy_path(data) if data else find("toy")
    config = Config(
        data=str(path) if path else None,
        seeds=seeds or (1 if quick else 5),
        quick=quick,
        seed=seed,
        device=device,
        sources=tuple(sources.split(",")),
        methods=tuple(methods.split(",")) if methods else Config.methods,
    )
    reproduce_with_progress(TOY_DENSITY, config, out, jobs=jobs, report_only=report_only, quiet=quiet)


@app.command("anomaly")
def reproduce_anomaly(
    out: Out,
    data: Annotated[str, typer.Option(help="Which data sets, by commas.")] = "kddcup,kddcup-rev,thyroid,arrhythmia",
    methods: Annotated[
        str, typer.Option(help="Rows of the table, or families of them, by commas.")
    ] = "published,chosen,untuned,peer",
    runs: Annotated[int | None, typer.Option(min=1, help="Random halves; default 20, or 3 with --quick.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The first run's seed.")] = 0,
    columns: Annotated[int, typer.Option(help="Columns that KDDCup is encoded in: 121, 120 or 118.")] = 121,
    quick: Annotated[bool, typer.Option("--quick", help="A fifth of the training steps, 3 runs.")] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Train the published family as long as it was published: hours.")
    ] = False,
    report_only: ReportOnly = False,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Experiment 5.3: anomalies found on four data sets over random halves, beside other detectors, as a report."""
    from radogaga.cli.experiment_rendering import reproduce_with_progress
    from radogaga.experiments.anomaly_detection.experiment import ANOMALY_DETECTION
    from radogaga.experiments.anomaly_detection.families import named_methods
    from radogaga.experiments.anomaly_detection.settings import Config

    if quick and published:
        raise InputError("Expected --quick or --published; got both. Drop one.")
    config = Config(
        data=tuple(data.split(",")),
        methods=named_methods(methods.split(",")),
        runs=runs or (3 if quick else 20),
        quick=quick,
        published=published,
        seed=seed,
        columns=columns,
    )
    reproduce_with_progress(ANOMALY_DETECTION, config, out, jobs=jobs, report_only=report_only, quiet=quiet)


@app.command("isometry")
def reproduce_isometry(
    images: Annotated[Path, typer.Option(help="Array of pictures, as `radogaga images prepare` writes it.")],
    out: Out,
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
    report_only: ReportOnly = False,
    seed: Annotated[int, typer.Option(min=0, help="Seeds initial weights, batches and noise.")] = 0,
    cluster: Annotated[str | None, CLUSTER] = None,
    workers: Annotated[int | None, WORKERS] = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Experiment 5.1: how isometric embeddings of pictures are, every model under two metrics, as a report."""
    from radogaga._utils.checks import check_device
    from radogaga.cli.experiment_rendering import reproduce_with_progress
    from radogaga.experiments.image_isometry.experiment import IMAGE_ISOMETRY
    from radogaga.experiments.image_isometry.settings import STEPS, Config

    if cluster is None and workers is None:
        check_device(device)
    metrics: tuple[Any, ...] = tuple(metric.split(","))
    config = Config(
        images=images,
        out=out,
        metrics=metrics,
        models=tuple(model.split(",")) if model else Config.models,
        size=_one_of("--size", size, ("small", "paper")),
        steps=steps or STEPS[size],
        precision=_one_of("--precision", precision, ("fp32", "bf16")),
        seed=seed,
        device=device,
    )
    if not report_only and (cluster is not None or workers is not None):
        _train_on(cluster, workers, IMAGE_ISOMETRY, config, restart=not resume)
        report_only = resume = True
    with workers_of_torchrun(device) as is_main:
        quiet = quiet or not is_main
        reproduce_with_progress(IMAGE_ISOMETRY, config, out, restart=not resume, report_only=report_only, quiet=quiet)


def _train_on(
    address: str | None, workers: int | None, experiment: Experiment[Config], config: Config, *, restart: bool
) -> None:
    """Run what is left of an experiment on the workers of a cluster, all of which take part in each training."""
    from radogaga.experiments.experiment import claim, reproduce
    from radogaga.integrations.ray import cluster, processors, train

    experiment.check(config)
    claim(experiment, config, config.out, restart=restart)  # once: workers may be started again
    config = replace(config, images=config.images.absolute(), out=config.out.absolute())
    with cluster(address):
        run = partial(reproduce, experiment, config, config.out)
        train(run, workers=workers or processors(), device=config.device)


def _one_of(option: str, value: str, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise InputError(f"Expected {option} {' or '.join(known)}; got {value!r}.")
    return value
