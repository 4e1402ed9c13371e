"""What a service tells Prometheus: requests, rows, alarms, cells never seen in training, p-values, drift."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from radogaga.integrations.server.model_holder import ServedModel
from radogaga.tabular.columns.encoder import EncodedRows
from radogaga.tabular.monitoring import Drift, DriftMonitor
from radogaga.tabular.scorable_file import RowBatch
from radogaga.tabular.standardize import Array

P_VALUES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75)
DRIFT_ROWS = 10_000
"""Rows that are compared with the training rows at a time."""
_ROWS_AT_ONCE = 500  # a few rows take as long as these, and many are as well compared by these
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counts of one service, of all its processes where there are several.

    Where rows look like the training rows, the share of them with a p-value of at most a is at most a, for each a:
    ``rate(radogaga_rows_by_p_value_total{at_most="0.01"}[1h]) / rate(radogaga_rows_total[1h])`` shows drift over any
    time. The gauges compare the last 10,000 rows with the training rows, column by column.
    """

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "radogaga_request_seconds",
            "Time from a request to its answer",
            ["endpoint"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._requests = Counter("radogaga_requests", "Answers", ["endpoint", "status"], registry=registry)
        self._rows = Counter("radogaga_rows", "Rows scored", registry=registry)
        self._alarms = Counter("radogaga_alarms", "Rows that score below the threshold", registry=registry)
        self._novel = Counter(
            "radogaga_unseen_cells", "Cells that hold what no training row held", ["column"], registry=registry
        )
        self._p_values = Counter(
            "radogaga_rows_by_p_value", "Rows with a p-value of at most that", ["at_most"], registry=registry
        )
        self._drift = Gauge(
            "radogaga_drift_score_distance",
            "Largest difference of the distribution functions of scores, last rows less calibration rows",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._moved = Gauge(
            "radogaga_drift_columns_moved",
            "Columns of the last rows that are distributed otherwise than in training",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._reloads = Counter("radogaga_reloads", "Attempts to load the model anew", ["result"], registry=registry)
        self._at_most = [self._p_values.labels(at_most) for at_most in P_VALUES]
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._waiting: list[RowBatch] = []
        self._monitored: ServedModel | None = None

    def observe(self, endpoint: str, status: int, seconds: float) -> None:
        """Count an answer."""
        if (counted := self._children.get((endpoint, status))) is None:  # to look labels up takes longer than to count
            counted = self._requests.labels(endpoint, status), self._seconds.labels(endpoint)
            self._children[endpoint, status] = counted
        counted[0].inc()
        counted[1].observe(seconds)

    def count_reload(self, *, done: bool) -> None:
        """Count an attempt to load the model anew."""
        self._reloads.labels("done" if done else "failed").inc()

    def add(self, served: ServedModel, batch: RowBatch) -> None:
        """Count rows that were scored; for one thread."""
        calibration = served.model.calibration
        self._rows.inc(len(batch.score))
        self._alarms.inc(int(calibration.is_anomaly(batch.score).sum()))
        p_value = np.sort(calibration.p_value(batch.score))
        for counter, count in zip(self._at_most, np.searchsorted(p_value, P_VALUES, "right").tolist(), strict=True):
            counter.inc(count)
        if batch.rows.novel.any():
            for name, count in zip(served.model.encoder.labels, batch.rows.novel.sum(0).tolist(), strict=True):
                if count:
                    self._novel.labels(name).inc(count)
        self._watch_drift(served, batch)

    def _watch_drift(self, served: ServedModel, batch: RowBatch) -> None:
        if self._monitored is not served:
            self._monitored, self._monitor = served, DriftMonitor(served.model)
            self._left, self._waiting = DRIFT_ROWS, []
        self._waiting.append(batch)
        if sum(len(batch.score) for batch in self._waiting) < _ROWS_AT_ONCE:
            return
        rows, score = _some_rows(self._waiting, _ROWS_AT_ONCE)
        self._waiting = []
        self._monitor.add(rows, score)
        self._left -= len(score)
        if self._left <= 0:
            self._show(self._monitor.result())
            self._monitored = None

    def _show(self, drift: Drift) -> None:
        self._drift.set(drift.score_distance)
        self._moved.set(len(drift.moved))

    def as_text(self) -> bytes:
        """Return all in Prometheus' format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)


def _some_rows(batches: Sequence[RowBatch], most: int) -> tuple[EncodedRows, Array]:
    """Return evenly spaced rows of some batches, and their scores."""
    score = np.concatenate([batch.score for batch in batches])
    places = np.linspace(0, len(score) - 1, min(most, len(score))).astype(np.int64)
    fields = ((batch.rows.x, batch.rows.codes, batch.rows.novelty, batch.rows.novel) for batch in batches)
    x, codes, novelty, novel = (np.concatenate(parts)[places] for parts in zip(*fields, strict=True))
    return EncodedRows(x, codes, novelty, novel, x), score[places]
