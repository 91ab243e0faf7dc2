"""A linear program as arrays, solved by HiGHS, with a value that needs no trust in the solver."""

import math
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from gridhash.envs.parameters import Floats, Ints
from gridhash.errors import SolverError

ROUNDING = float(np.finfo(np.float64).eps)
"""More than any operation is off by, relative to its result: twice the unit roundoff."""

_highs: Any = highspy  # its functions carry no types


class _SilentHighs(highspy.Highs):
    """HiGHS without the banner that its constructor prints before any option can be set.

    The constructor calls `enableCallbacks`, and the first call of anything prints.
    """

    def enableCallbacks(self) -> None:
        """Switch the output off, then go on as usual."""
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()  # type: ignore[no-untyped-call, unused-ignore]


def new_highs() -> Any:
    """Return a silent solver on one thread."""
    highs: Any = _SilentHighs()  # type: ignore[no-untyped-call, unused-ignore]
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("solver", "simplex")
    return highs


class WarmStart:
    """A solver that is kept, with the last basis of each shape of program.

    The optimum of a program does not depend on it; of several optimal plans it may be another.
    """

    def __init__(self, highs: Any = None) -> None:
        """Keep a solver of its own, or one that others use too."""
        self.highs = new_highs() if highs is None else highs
        self.bases: dict[tuple[int, int], Any] = {}
        """By numbers of columns and rows."""


@dataclass(frozen=True)
class Solution:
    """The optimum of a maximisation."""

    value: float
    """What the solution earns."""
    upper_bound: float
    """What no solution exceeds: weak duality, evaluated here from the solver's row duals, with all
    that rounding can have taken off added, so that it holds for the numbers given to the last
    bit (Neumaier and Shcherbina, Safe bounds in linear programming, 2004)."""
    columns: Floats
    row_duals: Floats
    """What one more unit on the right of each row earns."""


class LinearProgram:
    """Maximise ``gain @ x`` subject to ``lower <= A x <= upper`` with every x in a finite box.

    Columns and rows are added in blocks; blocks of entries address them by number.
    """

    def __init__(self) -> None:
        self._gain: list[Floats] = []
        self._column_lower: list[Floats] = []
        self._column_upper: list[Floats] = []
        self._row_lower: list[Floats] = []
        self._row_upper: list[Floats] = []
        self._entries: list[tuple[Ints, Ints, Floats]] = []
        self._more_gain: list[tuple[Ints, Floats]] = []
        self._constants: list[float] = []
        self.weight = 1.0
        """What all that is gained from here on counts: the chance of a scenario."""
        self._n_columns = 0
        self._n_rows = 0

    def add_columns(
        self, n: int, *, lower: float | Floats, upper: float | Floats, gain: float | Floats = 0.0
    ) -> Ints:
        """Add `n` columns; return their numbers."""
        for store, value in (
            (self._column_lower, lower),
            (self._column_upper, upper),
            (self._gain, np.multiply(self.weight, gain)),
        ):
            store.append(np.broadcast_to(np.asarray(value, dtype=np.float64), n))
        self._n_columns += n
        return np.arange(self._n_columns - n, self._n_columns)

    def add_rows(
        self, n: int, *, lower: float | Floats = -np.inf, upper: float | Floats = np.inf
    ) -> Ints:
        """Add `n` rows; return their numbers."""
        for store, value in ((self._row_lower, lower), (self._row_upper, upper)):
            store.append(np.broadcast_to(np.asarray(value, dtype=np.float64), n))
        self._n_rows += n
        return np.arange(self._n_rows - n, self._n_rows)

    def add_entries(self, rows: Ints, columns: Ints, values: float | Floats) -> None:
        """Add one entry per pair of row and column; no pair may occur twice."""
        self._entries.append((rows, columns, np.broadcast_to(values, rows.shape)))

    def add_gain(self, columns: Ints, amounts: float | Floats) -> None:
        """Add to what columns gain, each of them named once."""
        self._more_gain.append(
            (columns, np.broadcast_to(np.multiply(self.weight, amounts), columns.shape))
        )

    def add_constant(self, amount: float) -> None:
        """Add what is gained whatever the columns are."""
        self._constants.append(self.weight * amount)

    def solve(
        self, *, warm: WarmStart | None = None, more_gain: tuple[Ints, Floats] | None = None
    ) -> Solution:
        """Return the optimum; with `warm` from where the last program of the same shape ended.

        `more_gain` is of columns, each named once, and counts in this call alone.

        Raises
        ------
        SolverError
            If HiGHS ends with any status but optimal.
        """
        rows, columns, values = (
            np.concatenate(parts) for parts in zip(*self._entries, strict=True)
        )
        order = np.lexsort((rows, columns))
        rows, columns, values = rows[order], columns[order], values[order]
        lower, upper = np.concatenate(self._column_lower), np.concatenate(self._column_upper)
        row_lower, row_upper = np.concatenate(self._row_lower), np.concatenate(self._row_upper)
        cost = -np.concatenate(self._gain)
        size = np.abs(cost)
        n_terms = np.bincount(columns, minlength=self._n_columns).astype(np.float64)
        for which, amounts in [*self._more_gain, *([] if more_gain is None else [more_gain])]:
            cost[which] -= amounts
            size[which] += np.abs(amounts)
            n_terms[which] += 1.0

        problem = _highs.HighsLp()
        problem.num_col_, problem.num_row_ = self._n_columns, self._n_rows
        problem.col_cost_, problem.col_lower_, problem.col_upper_ = cost, lower, upper
        problem.row_lower_, problem.row_upper_ = row_lower, row_upper
        problem.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        problem.a_matrix_.start_ = np.searchsorted(columns, np.arange(self._n_columns + 1))
        problem.a_matrix_.index_ = rows
        problem.a_matrix_.value_ = values
        shape = (self._n_columns, self._n_rows)
        highs = new_highs() if warm is None else warm.highs
        if highs.passModel(problem) == highspy.HighsStatus.kError:
            raise SolverError(
                f"HiGHS refuses the model of {self._n_columns} columns and {self._n_rows} rows"
            )
        if warm is not None and shape in warm.bases:
            highs.setBasis(warm.bases[shape])
        highs.run()
        status = highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise SolverError(
                f"HiGHS ended with {highs.modelStatusToString(status)!r} on {self._n_columns} "
                f"columns and {self._n_rows} rows"
            )
        if warm is not None:
            warm.bases[shape] = highs.getBasis()
        solution = highs.getSolution()
        dual = np.asarray(solution.row_dual, dtype=np.float64)
        # A multiplier whose side has no bound proves nothing.
        dual = np.where(np.isinf(row_lower), np.minimum(dual, 0.0), dual)
        dual = np.where(np.isinf(row_upper), np.maximum(dual, 0.0), dual)
        reduced = cost - np.bincount(columns, values * dual[rows], minlength=self._n_columns)
        size += np.bincount(columns, np.abs(values * dual[rows]), minlength=self._n_columns)
        x = np.asarray(solution.col_value, dtype=np.float64)
        return Solution(
            value=self._constant + float(-(cost @ x)),
            upper_bound=_sum_above(
                np.concatenate(
                    [
                        np.array(self._constants),
                        -_least_terms(dual, row_lower, row_upper),
                        -_least_terms(reduced, lower, upper),
                        # What rounding may have taken off each reduced cost, at its worst.
                        (n_terms + 4.0) * ROUNDING * size * np.maximum(abs(lower), abs(upper)),
                    ]
                )
            ),
            columns=x,
            row_duals=-dual,
        )

    @property
    def _constant(self) -> float:
        return math.fsum(self._constants)


def _least_terms(weight: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return the terms of the least of ``weight @ z`` over the box; zero weights ask for none."""
    side = np.where(weight > 0.0, lower, upper)
    used = weight != 0.0
    return np.asarray(weight[used] * side[used])


def _sum_above(terms: Floats) -> float:
    """Return a number that is no less than the sum of products, each rounded once, that they are.

    `math.fsum` rounds once; each product and each error term is off by no more than two roundings.
    """
    error = 2.0 * ROUNDING * math.fsum(np.abs(terms))
    return math.nextafter(math.fsum([*terms, error]), math.inf)
