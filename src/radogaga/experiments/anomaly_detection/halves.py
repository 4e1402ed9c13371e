"""The random halves of experiment 5.3, read once for all methods of a run."""

from __future__ import annotations

from functools import lru_cache

from radogaga.datasets.anomaly import Anomalies, Split, load, reverse, split


@lru_cache(maxsize=1)
def read_set(name: str, columns: int) -> Anomalies:
    """Return a data set; the last one is kept."""
    return load(name, columns=columns)


@lru_cache(maxsize=1)
def read_halves(data: str, seed: int, columns: int) -> tuple[Split, float]:
    """Return a run's split and the share rho of anomalies; the methods of one run follow each other."""
    whole = reverse(read_set("kddcup", columns), seed) if data == "kddcup-rev" else read_set(data, columns)
    return split(whole, seed), whole.rho
