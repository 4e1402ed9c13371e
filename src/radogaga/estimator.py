"""RaDOGAGA as a scikit-learn estimator: a density, an anomaly score and an embedding, with nothing to choose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    OutlierMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from radogaga.errors import InputError, refuse_unusable_device, say
from radogaga.explanation import Explanation, explain
from radogaga.isometry import measure_isometry
from radogaga.laws import Detail
from radogaga.parallel import map_batches
from radogaga.preparation import encoded, learn, ready, split, threshold
from radogaga.recipe import Choices, train, typical_range
from radogaga.tables import Rows
from radogaga.units import Array, Units

_ALARM_RATE = 0.01
# Training and measuring are in single precision, and see rows within so many spreads; scores have no such bound.
_CLIP = 1e4
_MOST_MEASURED, _MOST_JACOBIANS = 20_000, 500
_MOST_TYPICAL = 1000
_BATCH = 4096


class RaDOGAGA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Density, anomaly detection and non-linear PCA by an autoencoder whose latent space is isometric to the data.

    ``log p(x) = log P(z) + log p(residual) + log |det ds/dx|``, in nats, per unit of the columns as they are: z the
    latents of the scaled row s, P their density, the residual what the decoder leaves of s. Training rows
    are drawn in to each column's typical range, so that a few wild values hide nothing else; scores are of rows as
    they are.

    Parameters
    ----------
    n_components : int, float or "auto"
        Number of latents: a count, a share of the variance between 0 and 1, or the fewest that carry 99 % of it, at
        most 40.
    resolution : float or "auto"
        Details smaller than this are noise, in units of a column's spread.
    contamination : float or "auto"
        Share of the training rows that `predict` calls anomalies, in (0, 0.5]. "auto": the threshold is the 1 %
        quantile of the scores of training rows that were held out.
    alarm_rate : float, optional
        The highest rate, in (0, 0.5], at which `predict` may call new rows of the training rows' law anomalies,
        whatever their law is. It takes 1 / alarm_rate rows or more to hold out; where they are a quarter of all rows
        or more, a warning says which rate can be promised.
    max_steps : int
        Most training steps; 0 leaves the model as it starts, PCA with a kernel density, and so do fewer than 50 rows.
    random_state : int, RandomState instance or None
        Draws all that is random: the same integer gives the same model.
    detail : "both", "coarse" or "fine"
        What the density is to be good at. "coarse" ranks anomalies best: off the manifold it knows nothing finer than
        along it. "fine" gives new normal rows more density, by Gaussian mixtures beside the kernel density and several
        scales in each direction of the residual, but ranks worse, as a direction in which almost nothing happens says
        little about anomalies. "both" is one density of the two, see `radogaga.Guard`: fine where rows are usual,
        coarse for the fifth that are least so. "coarse" fits in half the time.
    device : str
        Where to train and score, "cpu" or "cuda".
    n_jobs : int or None
        Threads that score batches of 4096 rows, -1 for one on each core. None: as `joblib.parallel_config` says, else
        as torch is set up. Scores are the same to the last bit for any number.
    verbose : int
        Above 0, a progress bar with the time left.

    Attributes
    ----------
    density_ : Density
        The fitted density, of columns that vary, standardised.
    offset_ : float
        Scores below it are anomalies: ``decision_function = score_samples - offset_``.
    calibration_scores_ : ndarray
        Sorted scores of the held-out rows, which only the columns' units have seen; from fewer than 50 rows, of all.
    n_components_, resolution_
        What "auto" has become.
    explained_variance_ratio_ : ndarray
        Each latent's share of the variance, largest first; what they leave of 1 is the residual's.
    isometry_ : Isometry
        How isometric the embedding is.
    history_ : History
        The training curve.
    n_features_in_, feature_names_in_
        The columns.

    References
    ----------
    Kato et al., "Rate-distortion optimization guided autoencoder for isometric embedding in Euclidean latent space",
    ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import RaDOGAGA
    >>> x = np.random.RandomState(0).normal(size=(200, 2)) @ [[1.0, 0.9], [0.0, 0.1]]
    >>> model = RaDOGAGA(max_steps=50, random_state=0).fit(x)
    >>> model.predict([[1.0, 1.0], [1.0, -1.0]])
    array([ 1, -1])
    """

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's name and form
        "n_components": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
        ],
        "resolution": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "alarm_rate": [None, Interval(Real, 0, 0.5, closed="right")],
        "max_steps": [Interval(Integral, 0, None, closed="left")],
        "detail": [StrOptions({"both", "coarse", "fine"})],
        "random_state": ["random_state"],
        "device": [str],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components: int | float | str = "auto",
        *,
        resolution: float | str = "auto",
        contamination: float | str = "auto",
        alarm_rate: float | None = None,
        max_steps: int = 1000,
        detail: Detail = "both",
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.resolution = resolution
        self.contamination = contamination
        self.alarm_rate = alarm_rate
        self.max_steps = max_steps
        self.detail = detail
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803
        """Fit to rows of a table, mixed columns and missing values included.

        A row of weight k counts as k copies of it, one of weight 0 as none.
        """
        del y
        if self.alarm_rate is not None and not isinstance(self.contamination, str):
            raise InputError("Expected contamination or alarm_rate; got both. Leave one out.")
        refuse_unusable_device(self.device)
        self._table, x = learn(self, X, sample_weight)
        random = check_random_state(self.random_state)
        seed = int(random.randint(2**31 - 1))
        x = ready(x, sample_weight, random)
        self._units = Units.of(x)
        varying = set(self._table.owner[self._units.varying].tolist())
        if constant := [name for j, name in enumerate(self._names) if j not in varying]:
            named = ", ".join(constant[:5]) + (", ..." if len(constant) > 5 else "")
            say(
                f"{len(constant)} of {self.n_features_in_} columns are constant and do not count ({named}). Drop them.",
                above=2,
            )
        rows, to_stop_by, to_calibrate = split(x, random, self.alarm_rate)
        self._train(rows, to_stop_by, seed)
        self._calibrate(x, to_calibrate)
        self._typical = self._well_scoring(rows[:_MOST_TYPICAL])
        return self

    def score_samples(self, X: Any) -> Array:  # noqa: N803
        """Return the log density of rows in nats, ``(n, M) -> (n,)``, in the columns' units; higher = more normal."""
        rows = self._checked(X)
        return self._score(rows.x) - rows.cost

    def score(self, X: Any, y: Any = None) -> float:  # noqa: N803
        """Return the mean log density of rows, in nats."""
        del y
        return float(self.score_samples(X).mean())

    def decision_function(self, X: Any) -> Array:  # noqa: N803
        """Return scores less `offset_`: negative for anomalies."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray[Any, np.dtype[np.int64]]:  # noqa: N803
        """Return -1 for anomalies, 1 for all other rows."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_value(self, X: Any) -> Array:  # noqa: N803
        """Return (k + 1) / (n + 1), k of the n calibration scores being as low as the row's or lower.

        A new row of the training rows' law has a p-value of at most a with a probability of at most a. From fewer
        than 50 rows none were held out, and the p-values are those of rows that the model has seen; copies by weight
        may be on both sides, too.
        """
        return self.p_value_of(self.score_samples(X))

    def p_value_of(self, score: Array) -> Array:
        """Return the p-values of scores that `score_samples` gave, ``(n,)``."""
        # Equal rows may differ in the last digit by their place in a batch, and are to count as equal.
        as_low = np.searchsorted(self.calibration_scores_, score + 1e-9 * (1 + np.abs(score)), side="right")
        return (as_low + 1) / (len(self.calibration_scores_) + 1)

    def unseen(self, X: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:  # noqa: N803
        """Return which cells hold what no training row held, ``(n, M)``: a category, a gap where there was none.

        Their sum over the rows counts them by column. Each lowers its row's score by what it is worth: see
        `radogaga.tables.Vocabulary`.
        """
        return self._checked(X).surprise > 0

    def explain(self, X: Any) -> Explanation:  # noqa: N803
        """Return by how much each column moves each row's score away from that of the nearest typical row.

        A row's contributions, ``(n, M)`` in nats, add up to its score less its typical row's; the lowest are the
        reasons for an alarm.
        """
        rows = self._checked(X)
        return explain(self._score, self._log_density, self._units, self._table, self._typical, rows, self._names)

    @torch.no_grad()
    def transform(self, X: Any) -> Array:  # noqa: N803
        """Return the latents of rows, ``(n, M) -> (n, N)``, those with the largest variance first."""
        x = self._checked(X).x
        encode = self.density_.model.autoencoder.encode
        parts = self._tensor(self._units.standardise(x)).split(_BATCH)
        return _array(torch.cat([encode(part) for part in parts]))

    @torch.no_grad()
    def inverse_transform(self, X: Any) -> Any:  # noqa: N803
        """Return the rows of latents, ``(n, N) -> (n, M)``, of a mixed table as a data frame."""
        check_is_fitted(self)
        z = np.asarray(X, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != self.n_components_ or not np.isfinite(z).all():
            raise InputError(
                f"Expected finite latents of shape (rows, {self.n_components_}); got {z.shape}. "
                "Pass what transform gave."
            )
        decode = self.density_.model.autoencoder.decode
        s = _array(torch.cat([decode(part) for part in self._tensor(z).split(_BATCH)]))
        return self._table.decode(self._units.restore(s))

    def sample(self, n_samples: int = 1) -> Any:
        """Return rows drawn from the density, ``(n_samples, M)``, of a mixed table as a data frame."""
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise InputError(f"Expected n_samples of 1 or more; got {n_samples}.")
        device = self._device
        with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
            torch.manual_seed(int(check_random_state(self.random_state).randint(2**31 - 1)))
            s = _array(self.density_.sample(int(n_samples), across=True))
        return self._table.decode(self._units.restore(s))

    def save(self, folder: str | Path) -> None:
        """Write the estimator as a folder of safetensors and JSON, nothing pickled; `load` reads it back."""
        from radogaga.estimator_storage import save  # it needs this module

        check_is_fitted(self)
        save(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read an estimator that `save` wrote, with the same scores to the last bit."""
        from radogaga.estimator_storage import load

        return load(cls, folder)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    @property
    def _device(self) -> torch.device:
        return self.density_.model.autoencoder.log_gain.device

    def _tensor(self, x: Array) -> Tensor:
        return torch.as_tensor(x).to(self._device)

    def _score(self, x: Array) -> Array:
        batches = torch.as_tensor(self._units.standardise(x)).split(_BATCH)
        log_density = map_batches(partial(self.density_.log_prob, across=True), batches, self.n_jobs)
        return _array(log_density) + self._units.log_volume

    def _log_density(self, s: Tensor) -> Tensor:
        """Return the log density of standardised rows that explanations go by, ``(n, K) -> (n,)``, with derivatives.

        Where there are two laws the coarse one: what is unusual is ranked by it, and where the fine one comes in the
        density all but jumps.
        """
        rows, density = s.to(self._device), self.density_
        if density.guard is not None:
            return density.coarse_log_prob(rows).cpu()
        return density._log_prob(rows, "constant", across=True).cpu()

    def _checked(self, X: Any) -> Rows:  # noqa: N803
        check_is_fitted(self)
        return encoded(self, self._table, X)

    def _well_scoring(self, rows: Array) -> Array:
        """Return the half of rows that scores best: what a row is compared with when it is explained."""
        score = self._score(rows)
        return rows[score >= np.median(score)]

    @property
    def _names(self) -> list[str]:
        return list(map(str, getattr(self, "feature_names_in_", range(self.n_features_in_))))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = True
        return tags

    def _train(self, rows: Array, to_stop_by: Array | None, seed: int) -> None:
        x = _clipped(self._units, rows)
        held_out = None if to_stop_by is None else _clipped(self._units, to_stop_by)
        least, most = typical_range(x)
        x, held_out = x.clamp(least, most), None if held_out is None else held_out.clamp(least, most)
        with self._progress() as progress:
            choices = Choices(
                self.n_components, self.resolution, self.max_steps, seed, self.device, self.detail, progress
            )
            self.density_, self.history_ = train(x, held_out, choices)
        model = self.density_.model
        self.n_components_ = model.autoencoder.latents
        self.resolution_ = model.noise.variance**0.5
        measured = x[:_MOST_MEASURED].to(self._device).double()
        self.explained_variance_ratio_ = _variance_ratio(model.autoencoder, measured)
        self.isometry_ = measure_isometry(model, measured, rows=_MOST_JACOBIANS, seed=seed)

    def _calibrate(self, x: Array, to_calibrate: Array | None) -> None:
        self.calibration_scores_ = np.sort(self._score(x if to_calibrate is None else to_calibrate))
        if self.alarm_rate is not None:
            self.offset_ = threshold(self.calibration_scores_, self.alarm_rate, held_out=to_calibrate is not None)
        elif isinstance(self.contamination, str):
            self.offset_ = float(np.quantile(self.calibration_scores_, _ALARM_RATE))
        else:
            self.offset_ = float(np.quantile(self._score(x), self.contamination))

    @contextmanager
    def _progress(self) -> Iterator[Any]:
        if not self.verbose:
            yield None
            return
        from rich.console import Console

        from radogaga.progress import steps_with_progress

        done = 0
        with steps_with_progress("training", Console(stderr=True)) as update:

            def advance(steps: int) -> None:
                nonlocal done
                done += steps
                update(done, self.max_steps)

            yield advance


def _clipped(units: Units, x: Array) -> Tensor:
    return torch.as_tensor(units.standardise(x).clip(-_CLIP, _CLIP), dtype=torch.float32)


@torch.no_grad()
def _variance_ratio(autoencoder: Any, x: Tensor) -> Array:
    s = autoencoder.scaling(x)
    z = autoencoder.encode_scaled(s)
    left = (s - autoencoder.decode_scaled(z)).square().sum(1).mean()
    variance = z.var(0, correction=0)
    return _array(variance / (variance.sum() + left))


def _array(values: Tensor) -> Array:
    array: Array = values.cpu().numpy()
    return array
