"""One column's conditional probabilities: over all rows, and local to the centres of a kernel density."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from radogaga.tabular import defaults
from radogaga.tabular.standardize import Array

Codes = NDArray[np.int64]

_STRENGTHS = np.geomspace(1e-3, 1e6, 19)


@dataclass(frozen=True, eq=False)
class CategoryTable:
    """P(value | parent's value, centre) of one column, smoothed from coarse to fine.

    ::

        P(v | u)    = (n(u, v) + b P(v)) / (n(u) + b)             over all rows
        P(v | u, c) = (n_c(u, v) + a P(v | u)) / (n_c(u) + a)     at centre c

    with counts n, and strengths a and b of greatest leave-one-out likelihood. Where the centres tell nothing, a is
    infinite and they keep no counts.

    Attributes
    ----------
    parent : int
        The column that v depends on, or -1; then all rows have u = 0.
    count, parent_count : ndarray
        n(v), ``(K,)``, and n(u), ``(U,)``.
    pairs, pair_count : ndarray
        The pairs u K + v that training rows held, sorted, and n(u, v) of each, ``(P,)``.
    centre_pairs, centre_parents : ndarray
        n_c(u, v) and n_c(u), ``(P, C)`` and ``(U, C)``, or empty.
    parent_strength, strength : float
        b and a.
    """

    parent: int
    count: Codes
    parent_count: Codes
    pairs: Codes
    pair_count: Codes
    centre_pairs: NDArray[np.float32]
    centre_parents: NDArray[np.float32]
    parent_strength: float
    strength: float

    @property
    def is_local(self) -> bool:
        """Whether the centres tell anything."""
        return self.centre_pairs.size > 0

    def probability(self, u: Codes, v: Codes) -> Array:
        """Return P(v | u) of known values, ``(B,), (B,) -> (B,)``; an unknown u, -1, leaves P(v)."""
        share = self.count[v] / self.count.sum()
        if np.isinf(self.parent_strength):
            return share
        place, seen = self._place(u, v)
        b = self.parent_strength
        conditional = (self.pair_count[place] * seen + b * share) / (self.parent_count[u] + b)
        return np.where(u >= 0, conditional, share)

    def local_probability(self, u: Codes, v: Codes) -> Array:
        """Return P(v | u, c) of known values at each centre, ``(B,), (B,) -> (B, C)``."""
        place, seen = self._place(u, v)
        pairs, parents = self.centre_pairs[place] * seen[:, None], self.centre_parents[u] * (u >= 0)[:, None]
        result: Array = (pairs + self.strength * self.probability(u, v)[:, None]) / (parents + self.strength)
        return result

    @classmethod
    def fit(cls, parent: int, u: Codes, v: Codes, levels: tuple[int, int], responsibility: Array) -> Self:
        """Return the table of a column's training codes.

        Parameters
        ----------
        parent : int
            The parent's number, or -1.
        u, v : ndarray
            Codes of the parent and of the column, ``(n,)``.
        levels : tuple of int
            How many values the parent and the column have.
        responsibility : ndarray
            P(centre | latents) of the first rows, ``(m, C)``.
        """
        count, parent_count = np.bincount(v, minlength=levels[1]), np.bincount(u, minlength=levels[0])
        pairs, place, pair_count = np.unique(u * levels[1] + v, return_inverse=True, return_counts=True)
        b = np.inf
        if parent >= 0:
            b = _strength(pair_count[place] - 1, parent_count[u] - 1, (count[v] - 0.5) / len(v))
        none = np.zeros((0, 0), np.float32)
        table = cls(parent, count, parent_count, pairs, pair_count, none, none, b, np.inf)
        rows, centres = responsibility.shape
        if centres < 2 or len(pairs) * centres > defaults.MAX_CENTRE_COUNTS:
            return table
        return table._with_centres(u[:rows], v[:rows], place[:rows], responsibility)

    def draw(self, u: Codes, centre: Codes, random: np.random.RandomState) -> Codes:
        """Return values drawn given their parents' and their centres, ``(B,), (B,) -> (B,)``."""
        v = draw(np.broadcast_to(self.count, (len(u), len(self.count))), random)
        if self.is_local or np.isfinite(self.parent_strength):
            for i, (parent, c) in enumerate(zip(u, centre, strict=True)):
                inside = self._pairs_of(parent)
                values, counts = self.pairs[inside] % len(self.count), self.pair_count[inside].astype(np.float64)
                if np.isfinite(self.parent_strength):
                    total = self.parent_count[parent]
                    if random.uniform() * (total + self.parent_strength) < total:
                        v[i] = random.choice(values, p=counts / counts.sum())
                if self.is_local and (total := self.centre_parents[parent, c]) > 0:
                    own = self.centre_pairs[inside, c].astype(np.float64)
                    if random.uniform() * (total + self.strength) < total and own.sum() > 0:
                        v[i] = random.choice(values, p=own / own.sum())
        return v

    def mode(self, u: Codes, responsibility: Array) -> Codes:
        """Return the most probable of the values seen beside each parent's value, ``(B,), (B, C) -> (B,)``."""
        v = np.full(len(u), int(self.count.argmax()))
        for parent in np.unique(u):
            rows = np.flatnonzero(u == parent)
            values = self.pairs[self._pairs_of(parent)] % len(self.count)
            shares = [
                self._expected(np.full(len(rows), parent), np.full(len(rows), w), responsibility[rows]) for w in values
            ]
            if shares:
                v[rows] = values[np.argmax(shares, 0)]
        return v

    def _expected(self, u: Codes, v: Codes, responsibility: Array) -> Array:
        """Return P(v | u) averaged over the centres, ``(B,)``."""
        if not self.is_local:
            return self.probability(u, v)
        return np.asarray((responsibility * self.local_probability(u, v)).sum(1))

    def _pairs_of(self, u: int) -> slice:
        ends = np.searchsorted(self.pairs, [u * len(self.count), (u + 1) * len(self.count)])
        return slice(*ends.tolist())

    def _place(self, u: Codes, v: Codes) -> tuple[Codes, NDArray[np.bool_]]:
        pair = u * len(self.count) + v
        place = np.searchsorted(self.pairs, pair).clip(max=len(self.pairs) - 1)
        return place, (u >= 0) & (self.pairs[place] == pair)

    def _with_centres(self, u: Codes, v: Codes, place: Codes, responsibility: Array) -> Self:
        """Return the table with each centre's own counts, if they make held-out values more likely."""
        pairs, parents = (
            _sums(codes, count, responsibility)
            for codes, count in ((place, len(self.pairs)), (u, len(self.parent_count)))
        )
        some = slice(0, defaults.MAX_ROWS_TO_LEAVE_OUT)
        own, base = responsibility[some], self.probability(u[some], v[some])[:, None]
        of_pair, of_parent = pairs[place[some]] - own, parents[u[some]] - own
        likelihood = [
            np.log((own * (of_pair + a * base) / (of_parent + a)).sum(1).clip(1e-300)).mean() for a in _STRENGTHS
        ]
        best = int(np.argmax(likelihood))
        if likelihood[best] <= likelihood[-1] + defaults.MIN_LOCAL_GAIN:
            return self
        return replace(
            self,
            centre_pairs=pairs.astype(np.float32),
            centre_parents=parents.astype(np.float32),
            strength=float(_STRENGTHS[best]),
        )


def draw(probability: Array, random: np.random.RandomState) -> Codes:
    """Return a column for each row, drawn by its weights, ``(B, K) -> (B,)``."""
    reached = probability.cumsum(1)
    return np.asarray((reached < random.uniform(size=(len(reached), 1)) * reached[:, -1:]).sum(1))


def _strength(pair_count: Codes, parent_count: Codes, share: Array) -> float:
    """Return the strength b under which values are most likely if their own row does not count."""
    return float(max(_STRENGTHS, key=lambda b: np.log((pair_count + b * share) / (parent_count + b)).mean()))


def _sums(places: Codes, count: int, responsibility: Array) -> Array:
    rows = np.arange(len(places))
    chosen = sparse.csr_array((np.ones(len(places)), (places, rows)), shape=(count, len(places)))
    return np.asarray(chosen @ responsibility)
