"""Every setting of experiment 5.1's table; those of single rows are in `methods`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from radogaga.images.reading import read_images

Metric = Literal["mse", "ssim"]
METRICS: tuple[Metric, ...] = ("mse", "ssim")
RESCALED = "beta-vae-rescaled"
TRAINED_AS = {RESCALED: "beta-vae-plain", "radogaga-aligned": "radogaga", "radogaga-log-aligned": "radogaga-log"}
"""Rows that share another's training: the rescaled beta-VAE is the plain one in other units; aligned ones go through
`radogaga.align` after it."""
MODELS = ("recommended", "radogaga", "radogaga-log", "beta-vae", "beta-vae-plain", "pca", *TRAINED_AS)
STEPS = {"small": 4000, "paper": 500_000}


@dataclass(frozen=True)
class Config:
    """The settings of one table of this experiment.

    Attributes
    ----------
    images : Path
        Array that ``radogaga images prepare`` wrote.
    out : Path
        The experiment's folder.
    metrics, models : tuple of str
        The rows.
    size : {"small", "paper"}
        The networks: the paper's with 256 latents, or ones that two cores train in minutes, with 32.
    steps : int
        Training steps of each row.
    precision : {"fp32", "bf16"}
        What the networks compute in while training.
    seed : int
        Seeds initial weights, batches and noise.
    device : str
        Where to train.
    axes, hidden : int, tuple of int
        Principal axes, and hidden units, of the networks that start as PCA.
    prior_steps : int
        Steps in which a factorized density is fitted to latents.
    """

    images: Path
    out: Path
    metrics: tuple[Metric, ...] = METRICS
    models: tuple[str, ...] = MODELS
    size: Literal["small", "paper"] = "small"
    steps: int = STEPS["small"]
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0
    device: str = "cpu"
    axes: int = 500
    hidden: tuple[int, ...] = (1024, 1024)
    prior_steps: int = 300

    def described(self) -> dict[str, Any]:
        """Return all settings, for readers of the result."""
        return {**asdict(self), "images": self.images.name, "out": None}

    def fixed(self) -> dict[str, Any]:
        """Return the settings that all runs in one folder share; rows may be added."""
        shape = list(read_images(self.images).array.shape)
        shared = {name: getattr(self, name) for name in ("size", "steps", "precision", "seed")}
        return {"images": [self.images.name, shape], **shared}

    def checkpoint(self, metric: str, model: str) -> Path:
        """Return the file of a row's training state."""
        return self.out / "checkpoints" / f"{metric}-{TRAINED_AS.get(model, model)}.safetensors"
