"""The front against a slow O(n^2) definition, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from advisor.advice import pareto
from advisor.advice.pareto import pareto_front


def slow_front(losses: np.ndarray) -> list[bool]:
    """The definition, pair by pair."""

    def dominates(a: np.ndarray, b: np.ndarray) -> bool:
        return all(p <= q for p, q in zip(a, b, strict=True)) and any(p < q for p, q in zip(a, b, strict=True))

    return [not any(dominates(other, row) for other in losses) for row in losses]


# few distinct values make ties and duplicates common
coarse = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, np.inf])
fine = st.floats(-1e300, 1e300)


def clouds(values: st.SearchStrategy[float], *, max_objectives: int) -> st.SearchStrategy[np.ndarray]:
    shapes = st.tuples(st.integers(0, 40), st.integers(1, max_objectives))
    return shapes.flatmap(lambda shape: hnp.arrays(np.float64, shape, elements=values))


@given(clouds(coarse, max_objectives=5) | clouds(fine, max_objectives=5))
def test_front_is_the_definition(losses: np.ndarray) -> None:
    assert pareto_front(losses).tolist() == slow_front(losses)


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(0, 40), st.just(2)), elements=coarse | fine),
    st.sampled_from([1, 2, 3, 8]),
    st.sampled_from([1, 3]),
)
def test_front_over_many_blocks_and_ranges_is_the_definition(losses: np.ndarray, rows: int, step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pareto, "_BLOCK_ROWS", 4)
        patch.setattr(pareto, "_RANGE_ROWS", rows)
        patch.setattr(pareto, "_SAMPLE_STEP", step)
        assert pareto_front(losses).tolist() == slow_front(losses)


def test_more_rows_than_a_block_all_on_the_front() -> None:
    x = np.random.default_rng(7).permutation(150_000).astype(float)
    losses = np.column_stack([x, -x])
    assert pareto_front(losses).all()
    twice = pareto_front(np.vstack([losses, losses + 0.5]))
    assert twice.tolist() == [True] * 150_000 + [False] * 150_000


def test_equal_rows_stand_or_fall_together() -> None:
    losses = np.array([[1, 2], [1, 2], [2, 1], [2, 2], [2, 2]])
    assert pareto_front(losses).tolist() == [True, True, True, False, False]


def test_same_first_value_keeps_only_the_lowest_second() -> None:
    assert pareto_front(np.array([[1.0, 3.0], [1.0, 2.0], [1.0, 4.0]])).tolist() == [False, True, False]


def test_infinite_losses_of_four_columns_are_compared() -> None:
    better, worse = [-np.inf, np.inf, np.inf, np.inf], [np.inf, np.inf, np.inf, np.inf]
    assert pareto_front(np.array([better, worse])).tolist() == [True, False]


def test_no_rows_no_front() -> None:
    assert pareto_front(np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize("n_objectives", [1, 2, 3])
def test_nan_is_refused(n_objectives: int) -> None:
    losses = np.zeros((3, n_objectives))
    losses[1, -1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        pareto_front(losses)


@pytest.mark.parametrize("shape", [(3,), (3, 0), (2, 2, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        pareto_front(np.zeros(shape))
