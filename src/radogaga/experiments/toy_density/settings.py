"""Every setting of experiment 5.2."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from radogaga._utils.files import checksum
from radogaga.datasets.toy import flat, rolled, warped
from radogaga.experiments.toy_density.methods import METHODS

SOURCES = {"flat": flat, "rolled": rolled, "warped": warped}
PCA = "pca+mixture"
ROWS = 10_000
_STEPS, _QUICK_STEPS = 10_000, 2_000


@dataclass(frozen=True)
class Config:
    """The settings of one table of this experiment.

    Attributes
    ----------
    data : str or None
        Path of the authors' ``toy.csv`` for the flat source; without it, rows are drawn from the same distribution.
    seeds : int
        Number of seeds.
    quick : bool
        Whether to train for a fifth of the steps.
    seed : int
        The first seed.
    device : str
        Where to train.
    sources, methods : tuple of str
        The data, and the rows of the table.
    """

    data: str | None = None
    seeds: int = 5
    quick: bool = False
    seed: int = 0
    device: str = "cpu"
    sources: tuple[str, ...] = tuple(SOURCES)
    methods: tuple[str, ...] = (PCA, *METHODS)

    @property
    def steps(self) -> int:
        """Training steps of each run."""
        return _QUICK_STEPS if self.quick else _STEPS

    def described(self) -> dict[str, Any]:
        """Return all settings, for readers of the result."""
        path = self.data and Path(self.data).name
        return {**asdict(self), "data": path, "steps": self.steps, "rows": ROWS}

    def fixed(self) -> dict[str, Any]:
        """Return the settings that all runs in one folder share; sources, methods and seeds may be added."""
        found = self.data and checksum(Path(self.data))
        return {"steps": self.steps, "rows": ROWS, "toy_sha256": found}
