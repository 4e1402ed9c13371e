"""RaDOGAGA as a scikit-learn estimator: a density, an anomaly score and an embedding, with nothing to choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
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

from radogaga._utils.checks import check_device, warn_user
from radogaga._utils.progress import print_steps
from radogaga.errors import InputError
from radogaga.tabular.columns.encoder import EncodedRows
from radogaga.tabular.defaults import MAX_STEPS
from radogaga.tabular.explanation import Explanation
from radogaga.tabular.fit import fit_model
from radogaga.tabular.model import TabularModel
from radogaga.tabular.preprocessing import encode, fit_encoder
from radogaga.tabular.standardize import Array
from radogaga.tabular.training import TrainingConfig


class RaDOGAGA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Density, anomaly detection and non-linear PCA by an autoencoder whose latent space is isometric to the data.

    What ranks rows and what is likely are two numbers, both in nats. `score_samples` ranks: it is a product of
    densities in two scales, columns by their ranges and by rank, see `ProductOfExperts`; `predict`, `p_value`, `select`
    and `explain` follow it. `log_density` is the likelihood, ``log p(x) = log P(z) + log p(residual) + log |det
    ds/dx|`` per unit of the columns as they are, z the latents of the scaled row s, P their density, the residual what
    the decoder leaves of s; it integrates to 1, `sample` draws from it, and `score` is its mean. Outliers among the
    training rows are clipped, so that a few of them hide nothing else; scores are of rows as they are. `fit` builds a
    `TabularModel`, and all else is asked of that.

    Parameters
    ----------
    n_components : int, float or "auto"
        Number of latents: a count, a share of the variance between 0 and 1, or the fewest that carry 99 % of it, at
        most 40.
    resolution : float or "auto"
        Details smaller than this are noise, in units of a column's spread.
    contamination : float or "auto"
        Share of the training rows that `predict` calls anomalies, in (0, 0.5]. "auto": the threshold is such that 1 %
        of new normal rows lie under it, by the calibration scores. Fewer than 99 of them do not tell, and a warning
        says what to expect.
    alarm_rate : float, optional
        The highest rate, in (0, 0.5], at which `predict` may call new rows of the training rows' distribution
        anomalies, whatever that distribution is. It takes 1 / alarm_rate rows or more to hold out; where they are a
        quarter of all rows or more, a warning says which rate can be promised.
    max_steps : int
        Most training steps; 0 leaves the model as it starts, PCA with a kernel density, and so do fewer than 50 rows.
    random_state : int, RandomState instance or None
        Draws all that is random: the same integer gives the same model.
    keep_position : bool
        Whether the position of dates in time, and of whole numbers that only grow from row to row, is part of the
        model. By default dates count by the time of day, week and year, and growing numbers are left out: later rows
        are not to be anomalies for being later.
    device : str
        Where to train and score, "cpu" or "cuda".
    n_jobs : int or None
        Threads that score batches of 4096 rows, -1 for one on each core. None: as `joblib.parallel_config` says, else
        as torch is set up. Scores are the same to the last bit for any number.
    verbose : int
        Above 0, lines on the error stream that say how far training is.

    Attributes
    ----------
    model_ : TabularModel
        The fitted model, frozen, of use without the estimator.
    density_ : Density or None
        Its density, of columns that vary, standardised.
    offset_ : float
        Scores below it are anomalies: ``decision_function = score_samples - offset_``.
    calibration_scores_ : ndarray
        Sorted scores of the held-out rows, which only encoding and standardising have seen. Where these are fewer than
        2,000 and no `alarm_rate` is given, those of training rows are among them, up to 2,000 in all, each without its
        own part in the kernel density and in the counts of categories.
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
        max_steps: int = MAX_STEPS,
        keep_position: bool = False,
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
        self.keep_position = keep_position
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        sample_weight: Any = None,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> Self:
        """Fit to rows of a table, mixed columns and missing values included.

        A row of weight k counts as k copies of it, one of weight 0 as none. `progress` is called with the number of
        training steps since its last call.
        """
        del y
        if self.alarm_rate is not None and not isinstance(self.contamination, str):
            raise InputError("Expected contamination or alarm_rate; got both. Leave one out.")
        check_device(self.device)
        encoder, rows = fit_encoder(self, X, sample_weight, keep_position=self.keep_position)
        random = check_random_state(self.random_state)
        config = TrainingConfig(
            self.n_components,
            self.resolution,
            self.max_steps,
            seed=int(random.randint(2**31 - 1)),
            device=self.device,
            progress=print_steps(self.max_steps) if self.verbose and progress is None else progress,
        )
        model = fit_model(
            encoder,
            rows,
            config,
            random=random,
            sample_weight=sample_weight,
            contamination=None if isinstance(self.contamination, str) else float(self.contamination),
            alarm_rate=self.alarm_rate,
            n_jobs=self.n_jobs,
            parameters=self._plain_parameters(),
        )
        return self._adopt(model)

    def score_samples(self, X: Any) -> Array:  # noqa: N803
        """Return what ranks rows, in nats, ``(n, M) -> (n,)``; higher = more normal."""
        return self._model.score(self._encoded(X), self.n_jobs)

    def log_density(self, X: Any) -> Array:  # noqa: N803
        """Return the log density of rows in nats, ``(n, M) -> (n,)``, per unit of the columns as they are."""
        return self._model.log_density(self._encoded(X), self.n_jobs)

    def score(self, X: Any, y: Any = None) -> float:  # noqa: N803
        """Return the mean log density of rows, in nats."""
        del y
        return float(self.log_density(X).mean())

    def decision_function(self, X: Any) -> Array:  # noqa: N803
        """Return scores less `offset_`: negative for anomalies."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:  # noqa: N803
        """Return -1 for anomalies, 1 for all other rows."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_value(self, X: Any) -> Array:  # noqa: N803
        """Return conformal p-values, (k + 1) / (n + 1), k of the n calibration scores being as low or lower.

        A new row of the training rows' distribution has a p-value of at most a with a probability of at most a: with
        an `alarm_rate` and 50 rows or more whatever that distribution is, else as far as the autoencoder has not
        learned its training rows by heart, which was measured and is not proven. Copies by weight may be on both sides.
        """
        return self._model.calibration.p_value(self.score_samples(X))

    def select(self, X: Any, fdr: float = 0.1) -> NDArray[np.bool_]:  # noqa: N803
        """Return which rows are anomalies, ``(n,)``: of those, at most the share `fdr` is normal, in expectation.

        See `TabularModel.select`.
        """
        return self._model.calibration.select(self.score_samples(X), fdr)

    def novel(self, X: Any) -> NDArray[np.bool_]:  # noqa: N803
        """Return which cells hold what no training row held, ``(n, M)``.

        A category, a first missing value, or another value in a constant column: each lowers its row's score by
        log(n + 1) nats, n the training rows. Their sum over the rows counts them by column.
        """
        return self._model.novel(self._encoded(X))

    def explain(self, X: Any) -> Explanation:  # noqa: N803
        """Return by how much each column moves each row's score away from that of the nearest reference row.

        A row's contributions, ``(n, M)`` in nats, add up to its score less its reference row's; the lowest are the
        reasons for an alarm.
        """
        return self._model.explain(self._encoded(X))

    def transform(self, X: Any) -> Array:  # noqa: N803
        """Return the latents of rows, ``(n, M) -> (n, N)``, those with the largest variance first."""
        return self._model.encode(self._encoded(X))

    def inverse_transform(self, X: Any) -> Any:  # noqa: N803
        """Return the rows of latents, ``(n, N) -> (n, M)``, of a data frame's model as a data frame."""
        return self._model.decode(X)

    def sample(self, n_samples: int = 1) -> Any:
        """Return rows drawn from the density, ``(n_samples, M)``, of a data frame's model as a data frame."""
        return self._model.sample(n_samples, seed=int(check_random_state(self.random_state).randint(2**31 - 1)))

    def save(self, folder: str | Path) -> None:
        """Write the fitted model as a folder of safetensors and JSON, nothing pickled; `load` reads it back."""
        replace(self._model.with_threshold(self.offset_), parameters=self._plain_parameters()).save(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read an estimator that `save` wrote, with the same scores to the last bit."""
        model = TabularModel.load(folder)
        estimator = cls(**{name: model.parameters[name] for name in cls().get_params() if name in model.parameters})
        try:
            check_device(estimator.device)
        except InputError:
            warn_user(f"The model was trained on {estimator.device}, which is not here. It is loaded on the CPU.")
            estimator.device = "cpu"
        if model.density is not None:
            model.density.to(estimator.device)
        names = model.encoder.names
        estimator.n_features_in_ = len(model.encoder.column_types)
        if names is not None and all(isinstance(name, str) for name in names):
            estimator.feature_names_in_ = np.asarray(names, dtype=object)
        return estimator._adopt(model)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    @property
    def _model(self) -> TabularModel:
        check_is_fitted(self)
        return self.model_

    def _adopt(self, model: TabularModel) -> Self:
        """Take a fitted model's figures as the estimator's own attributes."""
        self.model_ = model
        self.density_ = model.density
        self.offset_ = model.calibration.threshold
        self.calibration_scores_ = model.calibration.scores
        self.n_components_ = model.n_components
        self.resolution_ = model.resolution
        self.explained_variance_ratio_ = model.explained_variance_ratio
        self.isometry_ = model.isometry
        self.history_ = model.history
        return self

    def _encoded(self, X: Any) -> EncodedRows:  # noqa: N803
        return encode(self, self._model.encoder, X)

    def _plain_parameters(self) -> dict[str, Any]:
        return {name: _plain(value) for name, value in self.get_params().items()}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = True
        return tags


def _plain(value: Any) -> Any:
    """Return a parameter as JSON has it; a random state's stream cannot be written, and nothing fitted needs it."""
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, bool | int | float | str) else None
