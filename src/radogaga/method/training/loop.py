"""The training loop, and the encoding of all rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from radogaga._utils.random import isolated_seed
from radogaga.errors import InputError
from radogaga.method.objective import RateDistortion, Terms
from radogaga.method.training import distributed
from radogaga.method.training.checkpoint import Checkpoint
from radogaga.method.training.data import ArrayDataset, BatchSampler, Dataset, as_dataset, map_rows
from radogaga.method.training.early_stopping import EarlyStopping
from radogaga.method.training.history import History

Progress = Callable[[int], None]


def fit(
    objective: nn.Module,
    x: Any,
    *,
    steps: int = 5000,
    batch_size: int = 256,
    learning_rate: float = 2e-3,
    schedule: Literal["constant", "cosine", "one-cycle"] = "cosine",
    max_grad_norm: float = math.inf,
    seed: int = 0,
    device: str | torch.device | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    checkpoint: str | Path | None = None,
    log_every: int = 100,
    held_out: Any = None,
    patience: int = 10,
    progress: Progress | None = None,
) -> History:
    """Train an objective's parameters in place by Adam on the mean of its terms over batches.

    Parameters
    ----------
    objective : torch.nn.Module
        ``objective(x) -> Terms``: `RateDistortion`, `DAGMM` or a class of your own.
    x : array-like or Dataset
        Raw rows, ``(n, M)``, or pictures, ``(n, C, H, W)``, n at least 2; `radogaga.images.Pictures` reads them from
        disk a batch at a time.
    steps, batch_size : int
        Number of steps, and rows in each; batches are without replacement within an epoch.
    learning_rate : float
        Adam's largest rate.
    schedule : {"constant", "cosine", "one-cycle"}
        Constant, down to zero along a cosine, or up for a tenth of the steps and then down.
    max_grad_norm : float
        Largest norm of the gradient over all parameters; longer ones are clipped. Where activations are unbounded, as
        after inverse GDN, a single batch can undo a training.
    seed : int
        Seed of batches and noise: on one machine the same seed gives the same model.
    device : str, optional
        Where to train: by default the device of the rows or, of rows read from disk, of the objective. The objective
        stays there.
    precision : {"fp32", "bf16"}
        Precision of the networks: "bf16" is automatic mixed precision, with parameters and losses in 32 bits.
    checkpoint : path, optional
        File that the state is written to every `log_every` steps. If it exists, training resumes from it, with the same
        result to the last bit as without the interruption.
    log_every : int
        Steps in one entry of the history.
    held_out : array-like or Dataset, optional
        Raw rows for early stopping: their loss is evaluated before the first step and every `log_every` steps, and the
        objective ends with the parameters of the least.
    patience : int
        Evaluations without improvement before training stops.
    progress : callable, optional
        Called with the number of steps since its last call.

    Returns
    -------
    History
        Means of the terms.

    Notes
    -----
    Where several workers call it under `torch.distributed`, each with the same arguments, they train one model: each
    takes its share of every batch, and all end with the parameters that one worker would have, but for rounding. Only
    the first writes checkpoints, to a place that all can read, and reports progress.

    Raises
    ------
    InputError
        If the rows cannot be used, or the loss is no longer finite.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, GaussianNoise, Normal, RateDistortion, ResidualMLP, Scaling, SquaredError, fit
    >>> x = torch.randn(100, 4)
    >>> autoencoder = Autoencoder(ResidualMLP(4, 2), ResidualMLP(2, 4), latents=2, scaling=Scaling.standard(x))
    >>> model = RateDistortion(autoencoder, Normal(2), SquaredError(), GaussianNoise(std=0.1))
    >>> fit(model, x, steps=200).step
    [100, 200]
    """
    device = None if device is None else torch.device(device)
    rows = as_dataset(x, device, min_rows=2)
    device = device or _device_of(rows, objective)
    cast = _autocast(device, precision)
    objective.to(device).train()
    parameters = [p for p in objective.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    scheduler = _schedule(optimizer, schedule, steps)
    history = History()
    with isolated_seed(seed, device):
        batches = BatchSampler(rows.shape[0], min(batch_size, rows.shape[0]), device)
        early_stopping = EarlyStopping(objective, _as_held_out(held_out, rows, device), device, patience)
        parts = (objective, optimizer, scheduler, batches, history, early_stopping)
        state = Checkpoint(Path(checkpoint), *parts) if checkpoint else None
        done = _restored(state)
        if not done:
            early_stopping.update()
        shared = distributed.wrap(objective)
        total = torch.zeros(3, device=device)
        for step in range(done + 1, steps + 1):
            if early_stopping.should_stop:
                break
            with distributed.sharing(batches.size) as share, cast:
                terms = _terms(shared, rows.batch(batches.draw()[share.rows], device), step)
            means = torch.stack(tuple(terms)).mean(1) * share.weight
            optimizer.zero_grad()
            means.sum().backward()
            if max_grad_norm < math.inf:
                nn.utils.clip_grad_norm_(parameters, max_grad_norm)
            optimizer.step()
            scheduler.step()
            total += means.detach()
            if step % log_every == 0 or step == steps:
                history.append(step, distributed.mean(total) / (step % log_every or log_every))
                total.zero_()
                _check_finite(history)
                early_stopping.update()
                if state and distributed.is_main():
                    state.save(step)
                if progress and distributed.is_main():
                    progress(step % log_every or log_every)
        early_stopping.restore()
    objective.eval()
    return history


@torch.no_grad()
def encode(model: RateDistortion, x: Tensor | Dataset) -> Tensor:
    """Return what the prior sees of all raw rows, ``(n, M) -> (n, N)``, on the model's device."""
    return map_rows(model.features, x, next(model.parameters()).device)


@torch.no_grad()
def encode_distinct(model: RateDistortion, x: Tensor) -> Tensor:
    """Return the latents of raw rows, equal ones for equal rows: rounding depends on a row's place in a batch."""
    distinct, place = x.unique(dim=0, return_inverse=True)
    return encode(model, distinct)[place]


def _restored(state: Checkpoint | None) -> int:
    """Return the step that training goes on from, the same for all workers."""
    done = state.restore() if state else 0
    if done != distributed.of_main(done):
        raise InputError(
            f"Expected the same checkpoint for all workers; worker {distributed.rank()} has one of step {done}. "
            "Put it where all can read it."
        )
    distributed.barrier()  # the first worker writes it anew only when all have read it
    return done


def _terms(objective: nn.Module, rows: Tensor, step: int) -> Terms:
    try:
        terms: Terms = objective(rows)
    except FloatingPointError as error:
        raise InputError(f"Expected finite losses; got none at step {step}. {error}") from None
    return terms


def _schedule(optimizer: torch.optim.Optimizer, name: str, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    if name == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    if name == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    if name == "one-cycle":
        rate = optimizer.param_groups[0]["lr"]
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(steps, 1) + 1, pct_start=0.1)
    raise InputError(f"Expected constant, cosine or one-cycle as the schedule; got {name!r}.")


def _as_held_out(held_out: Any, rows: Dataset, device: torch.device) -> Dataset | None:
    if held_out is None:
        return None
    unseen = as_dataset(held_out, device, name="held_out")
    if unseen.shape[1:] != rows.shape[1:]:
        raise InputError(
            f"Expected rows of shape {rows.shape[1:]} in held_out; got {unseen.shape[1:]}. Pass more of the same kind."
        )
    return unseen


def _device_of(rows: Dataset, objective: nn.Module) -> torch.device:
    return rows.x.device if isinstance(rows, ArrayDataset) else next(objective.parameters()).device


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    if precision not in ("fp32", "bf16"):
        raise InputError(f"Expected fp32 or bf16 as the precision; got {precision!r}.")
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _check_finite(history: History) -> None:
    last = (history.rate[-1], history.reconstruction[-1], history.isometry[-1])
    if not all(map(math.isfinite, last)):
        raise InputError(
            f"Expected finite losses; got rate, reconstruction, isometry = {last} by step {history.step[-1]}. "
            "Lower the learning rate or scale the data."
        )
