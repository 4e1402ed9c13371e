"""The state of a training: what a checkpoint has to hold so that going on is the same as never having stopped."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from radogaga.errors import InputError
from radogaga.rows import Rows, parts


@dataclass
class History:
    """Means of the terms, in nats, over every stretch of training steps."""

    step: list[int] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    reconstruction: list[float] = field(default_factory=list)
    isometry: list[float] = field(default_factory=list)

    def append(self, step: int, means: Tensor) -> None:
        """Add one stretch's means, in the order of `Terms`."""
        self.step.append(step)
        for values, mean in zip((self.rate, self.reconstruction, self.isometry), means.tolist(), strict=True):
            values.append(mean)


class Batches:
    """Row indices, epoch by epoch without replacement; what is left of an epoch is dropped.

    Parameters
    ----------
    rows, size : int
        How many rows there are, and how many make a batch.
    """

    def __init__(self, rows: int, size: int) -> None:
        self.rows, self.size = rows, size
        self.order = torch.empty(0, dtype=torch.int64)

    def draw(self) -> Tensor:
        """Return the next batch's row indices, ``(size,)``, from torch's global random state."""
        if len(self.order) < self.size:
            self.order = torch.randperm(self.rows)
        batch, self.order = self.order[: self.size], self.order[self.size :]
        return batch


@dataclass
class Best:
    """The parameters that had the least loss on rows that are not trained on; without such rows it does nothing.

    Attributes
    ----------
    objective : torch.nn.Module
        What is trained.
    rows : Rows or None
        Raw rows, ``(n, M)`` or ``(n, C, H, W)``, to stop by.
    device : torch.device
        Where the objective is.
    patience : int
        How many looks may be in vain.
    loss, vain, state
        The least loss so far, the looks since then, and the parameters then.
    """

    objective: nn.Module
    rows: Rows | None
    device: torch.device
    patience: int
    loss: float = math.inf
    vain: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    @property
    def waited_enough(self) -> bool:
        """Whether as many looks as `patience` allows were in vain."""
        return self.rows is not None and self.vain >= self.patience

    @torch.no_grad()
    def look(self) -> None:
        """Take the loss on the rows, under the same noise each time, and keep the parameters if it is the least."""
        if self.rows is None:
            return
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(0)
            try:
                losses = [self.objective(part.to(self.device)).total for part in parts(self.rows)]
                loss = float(torch.cat(losses).mean())
            except FloatingPointError:
                loss = math.inf
        self.vain += 1
        if loss < self.loss:
            self.loss, self.vain = loss, 0
            self.state = {name: value.clone() for name, value in self.objective.state_dict().items()}

    def restore(self) -> None:
        """Give the parameters with the least loss back to the objective."""
        if self.rows is not None and self.state:
            self.objective.load_state_dict(self.state)


@dataclass
class Checkpoint:
    """A training's state in one safetensors file: parameters, optimiser, schedule, rows to come, random state.

    Attributes
    ----------
    path : Path
        The file.
    objective, optimizer, scheduler, batches, history, best
        What `keep` writes and `restore` sets.
    """

    path: Path
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    batches: Batches
    history: History
    best: Best

    def keep(self, step: int) -> None:
        """Write the state after a step, beside the file first and then renamed onto it."""
        tensors = {f"model.{k}": v for k, v in self.objective.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.state.items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
        tensors |= {"batches": self.batches.order, "random": torch.get_rng_state()}
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        groups = [{k: v for k, v in g.items() if k != "params"} for g in self.optimizer.param_groups]
        about = {
            "step": step,
            "history": vars(self.history),
            "groups": groups,
            "scheduler": self.scheduler.state_dict(),
            "best": [self.best.loss, self.best.vain],
        }
        beside = self.path.with_name(f".{self.path.name}.part")
        save_file({k: v.contiguous() for k, v in tensors.items()}, beside, {"about": json.dumps(about)})
        beside.replace(self.path)

    def restore(self) -> int:
        """Set the state to the file's and return its step; 0 if there is no file yet.

        Raises
        ------
        InputError
            If the file is truncated or of another training, or its folder cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._restore() if self.path.is_file() else 0
        except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"Expected a checkpoint of this training at {self.path}; got something else ({reason}). Remove it."
            ) from None

    def _restore(self) -> int:
        with safe_open(self.path, "pt") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        self.objective.load_state_dict(_under("model.", tensors))
        optimizer = self.optimizer.state_dict()
        for name, value in _under("optimizer.", tensors).items():
            index, key = name.split(".")
            optimizer["state"].setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict(optimizer)
        self.scheduler.load_state_dict(about["scheduler"])
        for group, kept in zip(self.optimizer.param_groups, about["groups"], strict=True):
            group.update(kept)
        self.batches.order = tensors["batches"]
        torch.set_rng_state(tensors["random"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        vars(self.history).update(about["history"])
        self.best.loss, self.best.vain = about["best"]
        self.best.state = _under("best.", tensors)
        return int(about["step"])


def kept_step(path: Path) -> int:
    """Return the step that a checkpoint was written after; 0 if there is none."""
    if not path.is_file():
        return 0
    with safe_open(path, "pt") as file:
        return int(json.loads(file.metadata()["about"])["step"])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
