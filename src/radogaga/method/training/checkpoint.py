"""The complete state of a training, so that a resumed training gives the same model as one that never stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from radogaga._utils.files import replace_file
from radogaga.errors import InputError
from radogaga.method.training.data import BatchSampler
from radogaga.method.training.early_stopping import EarlyStopping
from radogaga.method.training.history import History


@dataclass
class Checkpoint:
    """A training's state in one safetensors file: parameters, optimiser, schedule, batches to come, random state.

    Attributes
    ----------
    path : Path
        The file.
    objective, optimizer, scheduler, batches, history, early_stopping
        What `save` writes and `restore` sets.
    """

    path: Path
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    batches: BatchSampler
    history: History
    early_stopping: EarlyStopping

    def save(self, step: int) -> None:
        """Write the state after a step; a reader finds the old state or the new one, whole."""
        tensors = {f"model.{k}": v for k, v in self.objective.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.early_stopping.best_state.items()}
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
            "best": [self.early_stopping.best_loss, self.early_stopping.evaluations_since_best],
        }
        with replace_file(self.path) as beside:
            save_file({k: v.contiguous() for k, v in tensors.items()}, beside, {"about": json.dumps(about)})

    def restore(self) -> int:
        """Set the state to that of the file and return its step; 0 if there is no file yet.

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
        self.early_stopping.best_loss, self.early_stopping.evaluations_since_best = about["best"]
        self.early_stopping.best_state = _under("best.", tensors)
        return int(about["step"])


def checkpoint_step(path: Path) -> int:
    """Return the step of a checkpoint; 0 if there is no file."""
    if not path.is_file():
        return 0
    with safe_open(path, "pt") as file:
        return int(json.loads(file.metadata()["about"])["step"])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
