"""The distribution of a table's categories given its latents: tables along a tree of columns, local to each centre."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.special import logsumexp

from radogaga.method.priors.kernel_density import KernelDensity
from radogaga.tabular import defaults
from radogaga.tabular.category_table import CategoryTable, Codes, draw
from radogaga.tabular.standardize import Array


@dataclass(frozen=True, eq=False)
class CategoricalDensity:
    """P(k | z), the probability of a row's categories given its latents, normalised over all values of all columns.

    ::

        P(k | z) = sum_c P(c | z) prod_j P(k_j | k_parent(j), c)

    c is a centre of a kernel density of the latents, and the columns' parents make a tree in which each depends on the
    column that tells most about it (Chow and Liu, 1968). A value that no training row held has probability 1 / (n + 1)
    in its column, which costs log(n + 1) nats, n the training rows.

    Attributes
    ----------
    kernel : KernelDensity or None
        Whose centres are meant; None for one centre, where there are no latents.
    tables : tuple of CategoryTable
        One for each of the J columns.
    rows : int
        Number of training rows, n.

    References
    ----------
    Chow, Liu, "Approximating discrete probability distributions with dependence trees", IEEE Transactions on
    Information Theory 14, 1968. Li, Racine, "Nonparametric estimation of distributions with categorical and continuous
    data", Journal of Multivariate Analysis 86, 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import CategoricalDensity
    >>> codes = np.array([[0, 0], [0, 0], [1, 1], [1, 1]] * 50)
    >>> density = CategoricalDensity.fit(None, np.zeros((200, 0)), codes)
    >>> density.log_prob(np.zeros((2, 0)), np.array([[0, 0], [0, 1]])).round(1)
    array([ -0.7, -12.9])
    """

    kernel: KernelDensity | None
    tables: tuple[CategoryTable, ...]
    rows: int

    @classmethod
    def fit(cls, kernel: KernelDensity | None, z: Array, codes: Codes) -> Self:
        """Return the distribution of training codes ``(n, J)``, 0 to K_j - 1, at latents ``(n, N)``."""
        levels = codes.max(0, initial=0) + 1
        parents = _tree(codes[: defaults.MAX_ROWS_FOR_TREE], levels)
        responsibility = _responsibility(kernel, z[: defaults.MAX_ROWS_FOR_CENTRE_TABLES])
        tables = []
        for j, parent in enumerate(parents):
            u = codes[:, parent] if parent >= 0 else np.zeros(len(codes), np.int64)
            k = int(levels[parent]) if parent >= 0 else 1
            tables.append(CategoryTable.fit(parent, u, codes[:, j], (k, int(levels[j])), responsibility))
        return cls(kernel, tuple(tables), len(codes))

    def log_prob(self, z: Array, codes: Codes) -> Array:
        """Return log P(k | z) in nats, ``(B, N), (B, J) -> (B,)``; unknown values, -1, cost log(n + 1)."""
        total = np.zeros(len(codes))
        if local := [j for j, table in enumerate(self.tables) if table.is_local]:
            joint = responsibility = np.log(_responsibility(self.kernel, z).clip(1e-300))
            for j in local:
                joint = joint + self._log_probability(j, codes)
            total = logsumexp(joint, axis=1) - logsumexp(responsibility, axis=1)
        for j, table in enumerate(self.tables):
            if not table.is_local:
                total = total + self._log_probability(j, codes)
        return total

    def column_log_prob(self, z: Array, codes: Codes) -> Array:
        """Return each column's log P(k_j | k_parent(j), z) in nats, ``(B, N), (B, J) -> (B, J)``."""
        log_weight = np.log(_responsibility(self.kernel, z).clip(1e-300))
        columns = [self._log_probability(j, codes) for j in range(len(self.tables))]
        parts = [logsumexp(log_weight + p, axis=1) if p.ndim == 2 else p for p in columns]
        return np.stack(parts, 1) if parts else np.zeros((len(codes), 0))

    def sample(self, z: Array, random: np.random.RandomState) -> Codes:
        """Return codes drawn at latents, ``(B, N) -> (B, J)``."""
        centre = draw(_responsibility(self.kernel, z), random)
        return self._along_tree(len(z), lambda table, u: table.draw(u, centre, random))

    def mode(self, z: Array) -> Codes:
        """Return the most probable codes at latents, column by column along the tree, ``(B, N) -> (B, J)``."""
        responsibility = _responsibility(self.kernel, z)
        return self._along_tree(len(z), lambda table, u: table.mode(u, responsibility))

    def _log_probability(self, j: int, codes: Codes) -> Array:
        """Return log P(k_j | k_parent(j), c), ``(B,)``, or ``(B, C)`` where the centres tell anything."""
        table, v = self.tables[j], codes[:, j]
        u = _parent_codes(table, codes)
        # A value that no training row of this density held is as new as one that nobody knows.
        known = (v >= 0) & (v < len(table.count))
        known[known] = table.count[v[known]] > 0
        u = np.where(u < len(table.parent_count), u, -1)
        probability = (table.local_probability if table.is_local else table.probability)(u, np.where(known, v, 0))
        new = 1 / (self.rows + 1)
        shown = known[:, None] if table.is_local else known
        with np.errstate(divide="ignore"):
            return np.where(shown, np.log(probability) + np.log1p(-new), np.log(new))

    def _along_tree(self, n: int, choose: Callable[[CategoryTable, Codes], Codes]) -> Codes:
        codes = np.full((n, len(self.tables)), -1, np.int64)
        for j in _parents_first([table.parent for table in self.tables]):
            codes[:, j] = choose(self.tables[j], _parent_codes(self.tables[j], codes))
        return codes


def _parent_codes(table: CategoryTable, codes: Codes) -> Codes:
    return codes[:, table.parent] if table.parent >= 0 else np.zeros(len(codes), np.int64)


def _responsibility(kernel: KernelDensity | None, z: Array) -> Array:
    if kernel is None:
        return np.ones((len(z), 1))
    with torch.no_grad():
        result: Array = kernel.responsibility(torch.as_tensor(z).to(kernel.centres)).double().cpu().numpy()
    return result


def _tree(codes: Codes, levels: Codes) -> list[int]:
    """Return each column's parent in the tree of greatest mutual information, -1 for the root."""
    columns = codes.shape[1]
    if columns < 2:
        return [-1] * columns
    weight = np.zeros((columns, columns))
    entropy = [_entropy(codes[:, j]) for j in range(columns)]
    for i in range(columns):
        for j in range(i):
            joint = _entropy(codes[:, i] * levels[j] + codes[:, j])
            # Never zero: scipy takes a zero for no edge.
            weight[i, j] = -max(entropy[i][0] + entropy[j][0] - joint[0] - _bias(entropy[i], entropy[j], joint), 1e-12)
    tree = minimum_spanning_tree(sparse.csr_array(weight / len(codes)))
    root = int(np.argmin((weight + weight.T).sum(1)))
    parents = breadth_first_order(tree, root, directed=False)[1]
    return [int(parent) if parent >= 0 else -1 for parent in parents]


def _entropy(values: Codes) -> tuple[float, int]:
    """Return the entropy of values times their number, in nats, and how many there are."""
    count = np.unique(values, return_counts=True)[1]
    return float(len(values) * np.log(len(values)) - (count * np.log(count)).sum()), len(count)


def _bias(first: tuple[float, int], second: tuple[float, int], joint: tuple[float, int]) -> float:
    """Return how much chance adds to mutual information times the number of rows (Miller and Madow)."""
    return (joint[1] - first[1] - second[1] + 1) / 2


def _parents_first(parents: list[int]) -> list[int]:
    order: list[int] = []
    while len(order) < len(parents):
        order += [j for j, parent in enumerate(parents) if j not in order and (parent < 0 or parent in order)]
    return order
