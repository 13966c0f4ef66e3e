"""Drawdown against its definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmx.errors import DataError
from pmx.risk import Drawdown


@given(st.lists(st.floats(-0.9, 2.0), max_size=60))
def test_drawdown_is_the_distance_from_the_peak(returns: list[float]) -> None:
    drawdown = Drawdown()
    capital = np.cumprod([1.0, *(1.0 + r for r in returns)])
    expected = 1.0 - capital / np.maximum.accumulate(capital)
    seen = [0.0, *(drawdown.update(r) for r in returns)]
    np.testing.assert_allclose(seen, expected, atol=1e-12)
    assert drawdown.current == seen[-1]
    assert drawdown.maximum == max(seen)


@pytest.mark.parametrize("loss", [-1.0, -1.5])
def test_a_total_loss_is_for_ever(loss: float) -> None:
    drawdown = Drawdown()
    drawdown.update(0.3)
    assert drawdown.update(loss) == 1.0
    assert drawdown.update(10.0) == 1.0
    assert drawdown.maximum == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_return_changes_nothing(bad: float) -> None:
    drawdown = Drawdown()
    drawdown.update(-0.1)
    with pytest.raises(DataError, match="must be a finite fraction"):
        drawdown.update(bad)
    assert drawdown.current == pytest.approx(0.1)
