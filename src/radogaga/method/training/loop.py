"""One training loop, readable from top to bottom."""

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
        ``objective(x) -> Terms``: `RateDistortion`, `DAGMM` or one of your own.
    x : array-like or Rows
        Raw rows, ``(n, M)``, or pictures, ``(n, C, H, W)``, n at least 2; `radogaga.images.Pictures` reads them from
        disk a batch at a time.
    steps, batch_size : int
        Number of steps, and rows in each; rows are drawn without replacement, epoch by epoch.
    learning_rate : float
        Adam's largest rate.
    schedule : {"constant", "cosine", "one-cycle"}
        How the rate moves: not at all, down to zero along a cosine, or up for a tenth of the steps and then down.
    max_grad_norm : float
        Norm over all parameters, in the loss's nats, that a longer gradient is cut to: where activations have no bound,
        as after inverse GDN, a single batch can undo a training.
    seed : int
        Draws the batches and the noise: on one machine the same seed gives the same model.
    device : str, optional
        Where to train, by default where the rows are, or for rows read from disk where the objective is; the
        objective stays there.
    precision : {"fp32", "bf16"}
        What the networks compute in: "bf16" is automatic mixed precision, with parameters and losses in 32 bits.
    checkpoint : path, optional
        File to keep the state in, every `log_every` steps; if it is there, training goes on from it, to the last bit
        as if it had never stopped.
    log_every : int
        Steps in one stretch of the history.
    held_out : array-like or Rows, optional
        Raw rows to stop by: their loss is taken before the first step and every `log_every` steps, and the
        parameters with the least of it are what is left in the end.
    patience : int
        How many such losses in a row may be no better before training stops.
    progress : callable, optional
        Called with the number of steps done since its last call.

    Returns
    -------
    History
        The terms' means.

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
    rows = as_dataset(x, device, least_rows=2)
    device = device or _place(rows, objective)
    cast = _autocast(device, precision)
    objective.to(device).train()
    parameters = [p for p in objective.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    scheduler = _schedule(optimizer, schedule, steps)
    history = History()
    with isolated_seed(seed, device):
        batches = BatchSampler(rows.shape[0], min(batch_size, rows.shape[0]))
        best = EarlyStopping(objective, _rows_to_stop_by(held_out, rows, device), device, patience)
        state = (objective, optimizer, scheduler, batches, history, best)
        kept = Checkpoint(Path(checkpoint), *state) if checkpoint else None
        done = kept.restore() if kept else 0
        if not done:
            best.update()
        total = torch.zeros(3, device=device)
        for step in range(done + 1, steps + 1):
            if best.should_stop:
                break
            with cast:
                terms = _terms(objective, rows.batch(batches.draw(), device), step)
            means = torch.stack(tuple(terms)).mean(1)
            optimizer.zero_grad()
            means.sum().backward()
            if max_grad_norm < math.inf:
                nn.utils.clip_grad_norm_(parameters, max_grad_norm)
            optimizer.step()
            scheduler.step()
            total += means.detach()
            if step % log_every == 0 or step == steps:
                history.append(step, total / (step % log_every or log_every))
                total.zero_()
                _refuse_divergence(history)
                best.update()
                if kept:
                    kept.keep(step)
                if progress:
                    progress(step % log_every or log_every)
        best.restore()
    objective.eval()
    return history


@torch.no_grad()
def encode(model: RateDistortion, x: Tensor | Dataset) -> Tensor:
    """Return what the prior sees of raw rows, ``(n, M) -> (n, N)``, batch by batch on the model's device."""
    return map_rows(model.features, x, next(model.parameters()).device)


@torch.no_grad()
def encode_distinct(model: RateDistortion, x: Tensor) -> Tensor:
    """Return the latents of rows, equal ones for equal rows: rounding depends on a row's place in a batch."""
    distinct, place = x.unique(dim=0, return_inverse=True)
    return encode(model, distinct)[place]


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


def _rows_to_stop_by(held_out: Any, rows: Dataset, device: torch.device) -> Dataset | None:
    if held_out is None:
        return None
    unseen = as_dataset(held_out, device, name="held_out")
    if unseen.shape[1:] != rows.shape[1:]:
        raise InputError(
            f"Expected rows of shape {rows.shape[1:]} in held_out; got {unseen.shape[1:]}. Pass more of the same kind."
        )
    return unseen


def _place(rows: Dataset, objective: nn.Module) -> torch.device:
    return rows.x.device if isinstance(rows, ArrayDataset) else next(objective.parameters()).device


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    if precision not in ("fp32", "bf16"):
        raise InputError(f"Expected fp32 or bf16 as the precision; got {precision!r}.")
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _refuse_divergence(history: History) -> None:
    last = (history.rate[-1], history.reconstruction[-1], history.isometry[-1])
    if not all(map(math.isfinite, last)):
        raise InputError(
            f"Expected finite losses; got rate, reconstruction, isometry = {last} by step {history.step[-1]}. "
            "Lower the learning rate or scale the data."
        )
