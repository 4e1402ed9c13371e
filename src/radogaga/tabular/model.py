"""The fitted model of a table: everything that scoring, explaining, sampling and serving need, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radogaga._utils import storage
from radogaga._utils.batching import map_batches
from radogaga._utils.random import isolated_seed
from radogaga.errors import InputError
from radogaga.method.density.density import Density
from radogaga.method.density.product import ProductOfExperts
from radogaga.method.density.two_scale import TwoScaleDensity
from radogaga.method.isometry import Isometry
from radogaga.method.training.history import History
from radogaga.tabular.calibration import Calibration
from radogaga.tabular.categorical import CategoricalDensity
from radogaga.tabular.category_table import Codes
from radogaga.tabular.columns.encoder import EncodedRows, TableEncoder
from radogaga.tabular.columns.repeated_values import RepeatedValues
from radogaga.tabular.defaults import BATCH_ROWS
from radogaga.tabular.explanation import Explanation, explain
from radogaga.tabular.standardize import Array, Standardizer
from radogaga.tabular.training_columns import TrainingColumns


@dataclass(frozen=True, eq=False)
class TabularModel:
    """A fitted model of a table: raw rows in, nats out.

    ::

        rows --encoder--> numbers --standardizer--> s --ranking--> f(s) ----------+--> score --calibration--> p-value
                 |                                  +---density--> log p(s) ------|-+
                 +------> codes ----------------------categorical--> log P(k | z) +-+--> log density

    What ranks rows and what is likely are two numbers. The *score* ranks: a product of densities in several scales,
    see `ProductOfExperts`, less what numbers cost that are new among repeated ones, see `RepeatedValues`. Alarms,
    p-values, selections and explanations follow it. The *log density* is normalised, and `sample` draws from it:
    ``log p(x, k) = log P(z) + log p(residual) + log |det ds/dx| + log P(k | z)``, x the numbers of a row and k its
    categories, per unit of the columns as they are: a density over numbers times a probability over categories. Both
    are in nats, and categories count in both alike. `RaDOGAGA` builds the model; it needs no estimator, does not
    change, and travels between processes.

    Attributes
    ----------
    encoder : TableEncoder
        Columns as numbers and back.
    standardizer : Standardizer
        Numbers of any unit, brought near one.
    density : Density, TwoScaleDensity or None
        Of standardised numbers, in float64; None where none varies. Models of version 0.1 have two scales.
    categorical : CategoricalDensity or None
        Of codes given latents; None where there are none.
    calibration : Calibration
        Scores of normal rows and the threshold.
    reference_rows : ndarray
        Training rows that score well, numbers and codes side by side: what explained rows are compared with.
    explained_variance_ratio : ndarray
        Each latent's share of the variance, largest first.
    isometry : Isometry or None
        How isometric the embedding is.
    history : History
        The training curve.
    parameters : dict
        The settings that it was fitted with, as JSON has them.
    id_column : str, optional
        The name of a column of identifiers that was left out.
    training_columns : TrainingColumns, optional
        What each column held, for comparison with later rows; models of earlier versions have none.
    ranking : ProductOfExperts, optional
        What ranks standardised numbers; without one, as in models of version 0.1, the density does.
    repeated_values : RepeatedValues, optional
        Of numbers that repeat.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import RaDOGAGA
    >>> x = np.random.RandomState(0).normal(size=(200, 3))
    >>> model = RaDOGAGA(max_steps=20, random_state=0).fit(x).model_
    >>> model.predict([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]])
    array([ 1, -1])
    """

    encoder: TableEncoder
    standardizer: Standardizer
    density: Density | TwoScaleDensity | None
    categorical: CategoricalDensity | None
    calibration: Calibration
    reference_rows: Array
    explained_variance_ratio: Array
    isometry: Isometry | None
    history: History
    parameters: dict[str, Any] = field(default_factory=dict)
    id_column: str | None = None
    training_columns: TrainingColumns | None = None
    ranking: ProductOfExperts | None = None
    repeated_values: RepeatedValues | None = None

    @property
    def n_components(self) -> int:
        """Number of latents, N."""
        return 0 if self.density is None else self.density.model.autoencoder.latents

    @property
    def resolution(self) -> float:
        """Standard deviation under which details count as noise, in units of a column's spread."""
        return 0.0 if self.density is None else float(self.density.model.noise.variance**0.5)

    def read(self, X: Any) -> EncodedRows:  # noqa: N803
        """Return raw rows as numbers; rows that are encoded already come back as they are.

        A data frame may have its columns in any order, and others beside them.

        Raises
        ------
        InputError
            If columns are missing, or hold infinite numbers or values of another type than in training.
        """
        return X if isinstance(X, EncodedRows) else self.encoder.encode(self.encoder.select(X))

    def score(self, X: Any, n_jobs: int | None = None) -> Array:  # noqa: N803
        """Return what ranks rows, in nats, ``(n, M) -> (n,)``; higher = more normal.

        `n_jobs` threads score batches, -1 for one on each core; scores are the same to the last bit for any number.
        """
        rows = self.read(X)
        return self.score_packed(rows.packed, n_jobs) - rows.total_novelty

    def log_density(self, X: Any, n_jobs: int | None = None) -> Array:  # noqa: N803
        """Return the log density of rows in nats, ``(n, M) -> (n,)``, per unit of the columns as they are."""
        rows = self.read(X)
        log_density = np.zeros(len(rows.x))
        if (density := self.density) is not None:
            log_prob = self._over_numbers(lambda s: density.log_prob(s, include_residual=True), rows.x, n_jobs)
            log_density = log_prob + self.standardizer.log_volume
        return log_density + self._log_probability(rows.x, rows.codes) - rows.total_novelty

    def score_packed(self, rows: Array, n_jobs: int | None = None) -> Array:
        """Return the scores of numbers and codes side by side, ``(n, K + J) -> (n,)``."""
        x, codes = self.unpack(rows)
        return self._rank_numbers(x, n_jobs) + self._log_probability(x, codes)

    def unpack(self, rows: Array) -> tuple[Array, Codes]:
        """Return numbers and codes of rows that have them side by side."""
        numbers = len(self.standardizer.varying)
        return rows[:, :numbers], rows[:, numbers:].astype(np.int64)

    def p_value(self, X: Any) -> Array:  # noqa: N803
        """Return the conformal p-value of rows: the share of calibration scores as low, ``(n, M) -> (n,)``.

        A new row of the training rows' distribution has a p-value of at most a with a probability of at most a; see
        `RaDOGAGA.p_value`.
        """
        return self.calibration.p_value(self.score(X))

    def predict(self, X: Any) -> NDArray[np.int64]:  # noqa: N803
        """Return -1 for anomalies, rows that score below the threshold, and 1 for all others, ``(n, M) -> (n,)``."""
        return np.where(self.calibration.is_anomaly(self.score(X)), -1, 1)

    def select(self, X: Any, fdr: float = 0.1) -> NDArray[np.bool_]:  # noqa: N803
        """Return which rows are anomalies, with a bound on the share of false ones among them, ``(n, M) -> (n,)``.

        Of the rows that are selected, at most `fdr` are normal, in expectation over tables and rows (Benjamini and
        Hochberg's rule on conformal p-values; Bates et al., Annals of Statistics 51, 2023). All rows are judged
        together: with more anomalies among them, more are selected. With n calibration scores a selection of B rows
        has at least B / (.8 fdr (n + 1)) rows or none, so that few anomalies among many rows take many training rows.
        """
        return self.calibration.select(self.score(X), fdr)

    def novel(self, X: Any) -> NDArray[np.bool_]:  # noqa: N803
        """Return which cells hold what no training row held, ``(n, M)``.

        A category, a first missing value, or another value in a constant column: each lowers its row's score by
        log(n + 1) nats, n the training rows.
        """
        return self.read(X).novel

    def outside(self, X: Any) -> NDArray[np.bool_]:  # noqa: N803
        """Return which cells lie outside the range of the training rows, ``(n, M)``, dates by when they are."""
        return self.encoder.outside(self.read(X).raw)

    def explain(self, X: Any) -> Explanation:  # noqa: N803
        """Return by how much each column moves each row's score away from that of the nearest reference row.

        A row's contributions, ``(n, M)`` in nats, add up to its score less its reference row's; the lowest are the
        reasons for an alarm.
        """
        return explain(self, self.read(X))

    def encode(self, X: Any) -> Array:  # noqa: N803
        """Return the latents of rows, ``(n, M) -> (n, N)``, those with the largest variance first."""
        return self.latents(self.read(X).x)

    def latents(self, x: Array) -> Array:
        """Return the latents of encoded rows, ``(n, K) -> (n, N)``."""
        if self.density is None:
            return np.zeros((len(x), 0))
        return self._in_batches(self.density.model.autoencoder.encode, self.standardizer.transform(x))

    def decode(self, z: Any) -> Any:
        """Return the rows of latents, ``(n, N) -> (n, M)``, of a data frame's model as a data frame.

        Categories are the most probable ones.

        Raises
        ------
        InputError
            If the latents are not finite or of another number.
        """
        z = np.asarray(z, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != self.n_components or not np.isfinite(z).all():
            raise InputError(
                f"Expected finite latents of shape (rows, {self.n_components}); got {z.shape}. "
                "Pass what transform or encode gave."
            )
        s = z if self.density is None else self._in_batches(self.density.model.autoencoder.decode, z)
        codes = np.zeros((len(z), 0), np.int64) if self.categorical is None else self.categorical.mode(z)
        return self.encoder.decode(self.standardizer.inverse_transform(s), codes)

    def sample(self, n: int = 1, *, seed: int = 0) -> Any:
        """Return rows drawn from the density, ``(n, M)``, of a data frame's model as a data frame."""
        if not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"Expected n_samples of 1 or more; got {n}.")
        s, codes = np.zeros((int(n), 0)), np.zeros((int(n), 0), np.int64)
        if self.density is not None:
            with isolated_seed(seed, self.density.device):
                s = _array(self.density.sample(int(n), include_residual=True))
        x = self.standardizer.inverse_transform(s)
        if self.categorical is not None:
            codes = self.categorical.sample(self.latents(x), np.random.RandomState(seed))
        return self.encoder.decode(x, codes)

    def with_threshold(self, threshold: float) -> Self:
        """Return the same model with another threshold."""
        return replace(self, calibration=replace(self.calibration, threshold=threshold))

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder of safetensors and JSON, nothing pickled; `radogaga.load` reads it back."""
        storage.save(self, folder)

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu") -> Self:
        """Read a model that `save`, or `RaDOGAGA.save`, wrote, with the same scores to the last bit.

        Raises
        ------
        InputError
            If the folder holds no model of a table.
        """
        model = storage.load(folder, device=device)
        if not isinstance(model, cls):
            raise InputError(
                f"Expected the model of a table in {folder}; got a {type(model).__name__}. Load it by radogaga.load."
            )
        return model

    def check(self) -> None:
        """Raise an error if the parts do not fit together, as those of an altered file may not."""
        x, codes = self.unpack(self.reference_rows[:99])
        rows = self.read(self.encoder.decode(x, codes))
        few = rows.take(np.arange(min(9, len(x))))  # more than one, which would fit beside any number of others
        made = np.concatenate([self.score(few), self.calibration.p_value(self.score_packed(self.reference_rows[:1]))])
        columns = len(self.encoder.labels), len(self.encoder.source_column), len(self.encoder.code_column)
        fit = [
            columns == (rows.novel.shape[1], x.shape[1], codes.shape[1]),
            (rows.x.shape, rows.codes.shape) == (x.shape, codes.shape),
            self.log_density(few).shape == (len(few.x),),
        ]
        if not (all(fit) and np.isfinite(made).all()):
            raise ValueError("its parts do not fit together")

    def _rank_numbers(self, x: Array, n_jobs: int | None) -> Array:
        if self.density is None:
            return np.zeros(len(x))
        if self.ranking is None:
            density = self.density
            log_prob = self._over_numbers(lambda s: density.log_prob(s, include_residual=True), x, n_jobs)
            return log_prob + self.standardizer.log_volume
        score = self._over_numbers(self.ranking.log_score, x, n_jobs)
        if self.repeated_values is not None:
            score -= self.repeated_values.novelty(x[:, : len(self.repeated_values.cost)]).sum(1)
        return score

    def _over_numbers(self, function: Callable[[Tensor], Tensor], x: Array, n_jobs: int | None) -> Array:
        """Return a function of standardised rows, batch by batch, ``(n, K) -> (n,)``."""
        batches = torch.as_tensor(self.standardizer.transform(x)).split(BATCH_ROWS)
        return _array(map_batches(function, batches, n_jobs))

    def _log_probability(self, x: Array, codes: Codes) -> Array:
        """Return log P(k | z) of codes, ``(n, K), (n, J) -> (n,)``."""
        if self.categorical is None:
            return np.zeros(len(x))
        return self._in_parts(self.categorical.log_prob, x, codes)

    @torch.no_grad()
    def _in_batches(self, function: Callable[[Tensor], Tensor], x: Array) -> Array:
        assert self.density is not None
        parts = torch.as_tensor(x).to(self.density.device).split(BATCH_ROWS)
        return _array(torch.cat([function(part) for part in parts]))

    def _in_parts(self, function: Callable[[Array, Codes], Array], x: Array, codes: Codes) -> Array:
        starts = range(0, max(len(x), 1), BATCH_ROWS)
        return np.concatenate(
            [function(self.latents(x[i : i + BATCH_ROWS]), codes[i : i + BATCH_ROWS]) for i in starts]
        )


def _array(values: Tensor) -> Array:
    array: Array = values.cpu().numpy()
    return array
