"""Experiment 5.1's rows trained one after the other, with what a person likes to see meanwhile."""

from __future__ import annotations

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from radogaga.experiments.baselines.beta_vae import BetaVAE
from radogaga.experiments.image_isometry import experiment as isometry
from radogaga.experiments.image_isometry import report as isometry_report
from radogaga.experiments.runs import Row, Run, run_all
from radogaga.images import Pictures, read_images
from radogaga.method.objective import RateDistortion
from radogaga.method.training.checkpoint import checkpoint_step


def train_with_progress(config: isometry.Config, console: Console) -> list[Row]:
    """Train and measure the image experiment's rows one after the other, each with all cores under a bar of its own.

    All bars are there from the start: finding axes and measuring take their time too, and a bar of what is next says
    that nothing hangs. How a model rebuilds a few held-out pictures is written to ``out/samples`` as it goes.
    """
    images = read_images(config.images)
    test = Pictures(images.array, images.test)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=console, speed_estimate_period=300, transient=True) as bar:

        def moved(metric: str, model: str, trained: RateDistortion | BetaVAE) -> None:
            name = f"{metric}-{model}"
            step = checkpoint_step(isometry.checkpoint(config, metric, model))
            bar.update(tasks[name], completed=step)
            isometry_report.write_samples(config.out, name, trained, test, step)

        def done(run: Run, row: Row) -> None:
            bar.console.print(f"  {run.name}: {row['seconds']:.0f} s", highlight=False)
            bar.remove_task(tasks[run.name])

        runs = isometry.plan(config, moved)
        tasks = {run.name: bar.add_task(run.name, total=config.steps) for run in runs}
        try:
            return run_all(runs, config.out, jobs=1, done=done, threads=torch.get_num_threads())
        except KeyboardInterrupt:
            bar.console.print("Stopped. The same command goes on from here.")
            raise
