"""RaDOGAGA where PyOD's detectors are used: its base class, its sign, its attributes.

Needs PyOD: ``pip install 'radogaga[peers]'``.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pyod.models.base import BaseDetector
from sklearn.utils.validation import check_is_fitted

from radogaga.tabular.defaults import MAX_STEPS
from radogaga.tabular.estimator import RaDOGAGA


class RaDOGAGADetector(BaseDetector):  # type: ignore[misc]
    """`radogaga.RaDOGAGA` as a detector of PyOD's: scores are ``-log p(x)`` in nats, **higher = more anomalous**.

    Parameters
    ----------
    contamination : float
        Share of the training rows whose labels are 1, in (0, 0.5].
    n_components, resolution, max_steps, detail, random_state, device, n_jobs
        As for `radogaga.RaDOGAGA`.

    Attributes
    ----------
    decision_scores_ : ndarray
        Scores of the training rows, ``(n,)``.
    threshold_ : float
        Scores above it are anomalies.
    labels_ : ndarray
        1 for training rows above the threshold, 0 for all others.
    estimator_ : RaDOGAGA
        The fitted estimator, for all that PyOD has no word for.

    References
    ----------
    Zhao, Nasrullah, Li, "PyOD: A Python toolbox for scalable outlier detection", JMLR 20, 2019.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("pyod")
    >>> import numpy as np
    >>> from radogaga.integrations.pyod import RaDOGAGADetector
    >>> x = np.random.RandomState(0).normal(size=(200, 2))
    >>> detector = RaDOGAGADetector(contamination=0.05, max_steps=0, random_state=0).fit(x)
    >>> int(detector.labels_.sum()), detector.predict([[0.0, 0.0], [9.0, 9.0]]).tolist()
    (10, [0, 1])
    """

    def __init__(
        self,
        contamination: float = 0.1,
        *,
        n_components: int | float | str = "auto",
        resolution: float | str = "auto",
        max_steps: int = MAX_STEPS,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(contamination=contamination)
        self.n_components = n_components
        self.resolution = resolution
        self.max_steps = max_steps
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Fit to rows of a table; y is not used."""
        del y
        self._set_n_classes(None)
        self.estimator_ = RaDOGAGA(
            self.n_components,
            resolution=self.resolution,
            max_steps=self.max_steps,
            random_state=self.random_state,
            device=self.device,
            n_jobs=self.n_jobs,
        ).fit(X)
        self.decision_scores_ = -self.estimator_.score_samples(X)
        self._process_decision_scores()
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return minus the score of rows, in nats, ``(n, M) -> (n,)``; higher = more anomalous."""
        check_is_fitted(self, "estimator_")
        return -self.estimator_.score_samples(X)
