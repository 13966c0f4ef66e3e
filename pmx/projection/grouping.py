"""Positions grouped by the rows that they meet: compiled passes see a group only through sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pmx.projection.program import Array, Index


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Positions grouped by the rows that they meet: rows see a group only through sums.

    Attributes
    ----------
    order : array of int, shape (n,)
        Positions in group order.
    start : array of int, shape (n_groups + 1,)
        First position of each group, in that order.
    row_start : array of int, shape (n_groups + 1,)
        First entry of each group in ``row`` and ``coefficient``; rows ascend within a group.
    row : array of int
        Row of each entry.
    coefficient : array
        Its coefficient.
    groups : Groups
        All but the order, as compiled code takes it.
    """

    order: Index
    start: Index
    row_start: Index
    row: Index
    coefficient: Array
    groups: Any

    @classmethod
    def of(cls, A: Array) -> Grouping:
        """Return the grouping of the columns of a matrix, shape (K, n)."""
        from pmx.projection.kernels.passes import Groups

        member, heads = equal_columns(A)
        order = np.argsort(member, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(member, minlength=len(heads)))])
        parts = (start.astype(np.intp), *sparse_rows(heads))
        return cls(order.astype(np.intp), *parts, Groups(*parts))


def equal_columns(A: Array) -> tuple[Index, Array]:
    """Return the number of each column among the different ones, shape (n,), and those, one a row."""
    columns = np.ascontiguousarray(A.T) + 0.0  # −0.0 and 0.0 are the same
    n, width = columns.shape
    if width == 0:
        return np.zeros(n, dtype=np.intp), np.zeros((1, 0))
    key = columns.view(np.dtype((np.void, columns.dtype.itemsize * width))).ravel()
    _, first, member = np.unique(key, return_index=True, return_inverse=True)
    return member.astype(np.intp), columns[first]


def sparse_rows(matrix: Array) -> tuple[Index, Index, Array]:
    """Return the start of each row's entries, and the column and the value of each entry."""
    row, column = np.nonzero(matrix)
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(matrix)))])
    return start.astype(np.intp), column.astype(np.intp), np.ascontiguousarray(matrix[row, column])
