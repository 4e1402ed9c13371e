"""The training that `gpu.py` times and runs: models, a step that may be one CUDA graph, a course of a given time."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from radogaga.experiments.image_isometry.methods import METHODS, Task
from radogaga.experiments.image_isometry.settings import Config
from radogaga.experiments.runs import ignore
from radogaga.images.pictures import Pictures
from radogaga.images.reading import Images, read_images
from radogaga.method.objective import RateDistortion

# The authors' rate is for batches of 64. With Adam it may grow as the square root of the batch.
AUTHORS_RATE, AUTHORS_BATCH = 1e-4, 64
# As the experiment has it. Without a bound one gradient can undo a training.
MAX_GRAD_NORM = 1000.0
# Shares of a training's time: until the rate is at its largest, and from there back to 0.
WARM_UP, DECAY = 0.05, 0.3
LOOKS = 150
# Nats by which the loss rises when a training is undone.
UNDONE = 200.0
TERMS = ("rate", "reconstruction", "isometry")


@dataclass(frozen=True)
class Workload:
    """The pictures and the models; nothing is read, or touches the device, before it is asked for.

    Attributes
    ----------
    path : Path or None
        Array that ``radogaga images prepare`` wrote; None: made-up pictures. A twentieth of those to train on, the last
        by name, tell when a training stops to improve.
    out : Path
        Folder of the results.
    device, backend : str
        Where to train, and what torch.compile makes code with.
    networks : {"paper", "small"}
        The experiment's networks.
    prior_steps : int
        Steps in which a density is fitted to latents.
    """

    path: Path | None
    out: Path
    device: str
    backend: str
    networks: str
    prior_steps: int

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return torch.device(self.device).type == "cuda"

    @cached_property
    def images(self) -> Images:
        """The pictures."""
        return made_up_pictures() if self.path is None else read_images(self.path)

    @cached_property
    def train(self) -> Pictures:
        """What is trained on."""
        rows = self.images.train
        return Pictures(self.images.array, rows[: len(rows) - self._kept_back])

    @cached_property
    def validation(self) -> Pictures:
        """What is looked at during a training; split by folder, it shares at most one folder with `train`."""
        return Pictures(self.images.array, self.images.train[-self._kept_back :])

    @cached_property
    def test(self) -> Pictures:
        """What a trained model is measured on."""
        return Pictures(self.images.array, self.images.test)

    def on_device(self, pictures: Pictures) -> Tensor:
        """Return pictures as bytes on the device, ``(n, H, W, C)``."""
        return torch.from_numpy(pictures.array[pictures.rows]).to(self.device)

    def task(self, row: str) -> Task:
        """Return a row of the experiment, named metric-model, without training steps."""
        config = Config(
            images=Path(),
            out=self.out,
            size=self.networks,
            steps=0,
            device=self.device,
            prior_steps=self.prior_steps,
        )
        return Task(config, row.partition("-")[0], self.train, self.out / "none", ignore)

    def start(self, row: str) -> RateDistortion:
        """Return a row's model as the experiment starts to train it: random, at the scale of the pictures."""
        if row not in self._starts:
            self._starts[row] = METHODS[row.partition("-")[2]](self.task(row))[0]
        return copy.deepcopy(self._starts[row]).to(self.device).train()

    @cached_property
    def _starts(self) -> dict[str, RateDistortion]:
        return {}

    @property
    def _kept_back(self) -> int:
        return max(len(self.images.train) // 20, 1)


def made_up_pictures() -> Images:
    """Return 200 pictures of 4 x 4 patches of random colours, 16 x 16, 60 of them to test on."""
    random = np.random.default_rng(0).integers(0, 256, (200, 4, 4, 3), dtype=np.uint8)
    rows = np.arange(len(random))
    return Images(random.repeat(4, axis=1).repeat(4, axis=2), tuple(map(str, rows)), rows[60:], rows[:60])


@dataclass(frozen=True)
class Setting:
    """How a training step is taken.

    Attributes
    ----------
    row : str
        What is trained: metric and model, as the experiment names them.
    batch : int
        Pictures in a step.
    precision : {"fp32", "bf16"}
        PyTorch's defaults, which have convolutions in TF32, or automatic mixed precision.
    channels_last : bool
        Whether pictures and weights lie in memory pixel by pixel.
    compiled : str, optional
        The mode of torch.compile; None: eager.
    graph : bool
        Whether the whole step, from the batch to Adam, is replayed as one CUDA graph.
    """

    row: str = "mse-radogaga"
    batch: int = 64
    precision: str = "bf16"
    channels_last: bool = True
    compiled: str | None = None
    graph: bool = False

    def __str__(self) -> str:
        layout = "channels last" if self.channels_last else "channels first"
        how = f"compiled: {self.compiled}" if self.compiled else "eager"
        return f"{self.row}, batch {self.batch}, {self.precision}, {layout}, {how}" + ", CUDA graph" * self.graph

    @property
    def rate(self) -> float:
        """The largest learning rate."""
        return AUTHORS_RATE * math.sqrt(self.batch / AUTHORS_BATCH)


class TrainingStep:
    """One step of training: a batch drawn and mirrored on the device, losses, gradients, clipping, Adam."""

    def __init__(self, work: Workload, setting: Setting) -> None:
        self.setting, self.bytes = setting, work.on_device(work.train)
        self.memory_format = torch.channels_last if setting.channels_last else torch.contiguous_format
        self.model = work.start(setting.row).to(memory_format=self.memory_format)
        self.network: nn.Module = self.model
        if setting.compiled:
            torch._dynamo.reset()
            self.network = torch.compile(self.model, mode=setting.compiled, backend=work.backend, dynamic=False)
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        # On the device, where a CUDA graph reads it at each replay. Nothing is learned before it is set.
        self.rate = torch.zeros((), device=work.device)
        self.optimizer = torch.optim.Adam(self.parameters, lr=self.rate, fused=True, capturable=work.on_gpu)
        self.total, self.count = torch.zeros(3, device=work.device), 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Take the step."""
        self.count += 1
        if self.graph is None:
            self._take()
        else:
            self.graph.replay()

    def prepare(self) -> None:
        """Take a few steps, which compile it, and capture it if the setting says so."""
        for _ in range(3):
            self()
        if self.setting.graph:
            self.capture()
        self.means()

    def capture(self) -> None:
        """Record the step as a CUDA graph, after steps on another stream than the default one, as PyTorch asks for."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._take()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Gradients are to be allocated by the graph.
        self.optimizer.zero_grad()
        with torch.cuda.graph(graph):
            self._take()
        self.graph = graph

    def losses(self, network: nn.Module, x: Tensor) -> Tensor:
        """Return the means of rate, reconstruction and isometry term over pictures, ``(B, C, H, W) -> (3,)``."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.setting.precision == "bf16"):
            return torch.stack(tuple(network(x))).mean(1)

    def floats(self, taken: Tensor) -> Tensor:
        """Return bytes as the networks take them, ``(B, H, W, C) -> (B, C, H, W)``."""
        return taken.permute(0, 3, 1, 2).contiguous(memory_format=self.memory_format).float().div_(255)

    def means(self) -> list[float]:
        """Return the terms' means over the steps since the last call; this waits for the device."""
        means: list[float] = (self.total / max(self.count, 1)).tolist()
        self.total.zero_()
        self.count = 0
        return means

    def state(self) -> list[Tensor]:
        """Return what a step changes: parameters and Adam's state, not copied."""
        moments = [value for state in self.optimizer.state.values() for value in state.values()]
        return [parameter.data for parameter in self.parameters] + moments

    def _take(self) -> None:
        taken = self.bytes[torch.randint(len(self.bytes), (self.setting.batch,), device=self.bytes.device)]
        mirrored = torch.rand(len(taken), 1, 1, 1, device=taken.device) < 0.5
        means = self.losses(self.network, self.floats(torch.where(mirrored, taken.flip(2), taken)))
        self.optimizer.zero_grad()
        means.sum().backward()
        nn.utils.clip_grad_norm_(self.parameters, MAX_GRAD_NORM)
        self.optimizer.step()
        self.total += means.detach()


class Course:
    """A training of some seconds, which ends in the state with the least loss on the validation pictures.

    The learning rate is warmed up, stays, and goes down to zero in the last part of the time. That part begins sooner
    if the validation loss has not improved for `patience` seconds, from the best state so far. Where the loss is no
    longer finite, or has jumped after the warm-up, training goes on from the best state at half the rate.
    """

    def __init__(self, step: TrainingStep, validation: Tensor, *, seconds: float, patience: float) -> None:
        self.step, self.validation, self.patience = step, step.floats(validation), patience
        self.seconds, self.decay_from = seconds, (1 - DECAY) * seconds
        self.rate = step.setting.rate
        self.best, self.best_at = math.inf, 0.0
        self.kept = [tensor.clone() for tensor in step.state()]
        self.steps = self.undone = 0
        self.curve: list[dict[str, float]] = []

    def run(self) -> None:
        """Train."""
        start, now, some = time.perf_counter(), 0.0, 1
        while now < self.seconds:
            rate = self._rate_at(now)
            self.step.rate.fill_(rate)
            for _ in range(some):
                self.step()
            self.steps += some
            terms = self.step.means()
            before, now = now, time.perf_counter() - start
            some = max(int(some * self.seconds / LOOKS / (now - before)), 1)
            with torch.no_grad():
                validation = self.step.losses(self.step.model, self.validation).tolist()
            point = {"seconds": now, "steps": self.steps, "learning_rate": rate}
            point |= dict(zip(TERMS, terms, strict=True))
            self.curve.append(point | {f"validation_{name}": x for name, x in zip(TERMS, validation, strict=True)})
            self._judge(now, sum(validation))
        self._restore()

    def summary(self) -> dict[str, Any]:
        """Return speed, schedule and curve."""
        pictures, seconds = self.steps * self.step.setting.batch, self.curve[-1]["seconds"]
        return {
            "seconds": seconds,
            "steps": self.steps,
            "pictures": pictures,
            "pictures_per_second": pictures / seconds,
            "largest_rate": self.rate,
            "decay_from": self.decay_from,
            "kept_at": self.best_at,
            "undone": self.undone,
            "curve": {name: [point[name] for point in self.curve] for name in self.curve[0]},
        }

    def _rate_at(self, now: float) -> float:
        up = min((now + 1e-3) / (WARM_UP * self.seconds), 1.0)
        down = min((self.seconds - now) / max(self.seconds - self.decay_from, 1e-6), 1.0)
        return self.rate * min(up, down)

    def _judge(self, now: float, loss: float) -> None:
        """Keep the state, go back to the one that was kept, or begin to end, by the validation loss."""
        if loss < self.best:
            self.best, self.best_at = loss, now
            torch._foreach_copy_(self.kept, self.step.state())
        elif not math.isfinite(loss) or (loss > self.best + UNDONE and now > WARM_UP * self.seconds):
            self._restore()
            self.undone += 1
            self.rate /= 2
        elif now < self.decay_from and now - self.best_at > self.patience:
            self._restore()
            self.decay_from, self.seconds = now, min(self.seconds, now / (1 - DECAY))

    def _restore(self) -> None:
        torch._foreach_copy_(self.step.state(), self.kept)
