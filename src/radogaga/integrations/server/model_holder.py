"""The model that a service asks, and how another one takes its place."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from radogaga._utils.files import checksum
from radogaga._utils.threads import one_thread_each
from radogaga.errors import InputError
from radogaga.tabular.model import TabularModel
from radogaga.tabular.scorable_file import BLOCK_ROWS, score_rows

_TRIALS = 32
logger = logging.getLogger("uvicorn.error")


class ServedModel(NamedTuple):
    """A model in use.

    Attributes
    ----------
    model : TabularModel
        The model.
    name : str
        Twelve digits of its files' checksum, which tell models apart.
    since : datetime
        When it was loaded.
    scores_alike : bool
        Whether a row's score is the same to the bit wherever it stands among others: then requests share a batch.
    """

    model: TabularModel
    name: str
    since: datetime
    scores_alike: bool


class ModelHolder:
    """Holds the model of a folder, and loads it anew.

    Whoever asks takes `served` once and keeps to it: what began with one model ends with it.

    Parameters
    ----------
    folder : Path
        A saved model.

    Raises
    ------
    InputError
        If it cannot be loaded.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = _state_of(folder)
        self.served = _load(folder)

    def reload(self) -> bool:
        """Load the folder again and take that model over, or say why not, keep the old one and return False."""
        self._state = _state_of(self.folder)
        try:
            self.served = _load(self.folder)
        except InputError as error:
            logger.error("The model stays as it was, %s: %s", self.served.name, error)
            return False
        logger.info("Model %s taken over from %s", self.served.name, self.folder)
        return True

    @property
    def has_changed(self) -> bool:
        """Whether the folder holds other files than when it was last looked at."""
        state = _state_of(self.folder)
        return state != self._state and state is not None


def _load(folder: Path) -> ServedModel:
    model = TabularModel.load(folder)
    names = "".join(checksum(path) for path in sorted(folder.iterdir()) if path.is_file())
    return ServedModel(model, _digest(names), datetime.now(UTC), scores_alike(model))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _state_of(folder: Path) -> list[tuple[str, int, int]] | None:
    """Return which files a folder holds, or None while it is being replaced."""
    try:
        return sorted((path.name, (at := path.stat()).st_ino, at.st_mtime_ns) for path in folder.iterdir())
    except OSError:
        return None


def scores_alike(model: TabularModel) -> bool:
    """Return whether rows have the same scores to the bit at any place of a batch of `BLOCK_ROWS` rows, as far as seen.

    It depends on how a machine multiplies matrices of the model's sizes, so that it is tried.
    """
    x, codes = model.unpack(model.reference_rows[np.arange(BLOCK_ROWS) % len(model.reference_rows)])
    rows = model.read(model.encoder.decode(x, codes))
    orders = np.random.default_rng(0).permuted(np.tile(np.arange(BLOCK_ROWS), (_TRIALS, 1)), axis=1)
    with one_thread_each():
        alone = np.concatenate([score_rows(model, rows.take(np.array([i]))) for i in range(BLOCK_ROWS)])
        return all(np.array_equal(score_rows(model, rows.take(order)), alone[order]) for order in orders)
