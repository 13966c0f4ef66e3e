"""The names that users import, and the one that is both a package and a function."""

import subprocess
import sys

import pytest

import pmx


def test_every_public_name_resolves():
    for name in pmx.__all__:
        assert getattr(pmx, name) is not None
    assert set(pmx.__all__) <= set(dir(pmx))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = pmx.no_such_thing


@pytest.mark.parametrize(
    "first", ["import pmx.backtest", "from pmx.backtest import BacktestResult", "import pmx.backtest.metrics", "pass"]
)
def test_backtest_is_callable_however_it_was_imported(first):
    code = f"""
import pandas as pd, pmx
{first}
dates = pd.bdate_range("2020-01-01", periods=3)
prices = pd.DataFrame({{"SP500": [1.0, 1.1, 1.2]}}, index=dates)
targets = pd.DataFrame({{"SP500": [0.05] * 3}}, index=dates)
print(len(pmx.backtest(prices, pmx.load_policy(), targets=targets).nav))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "3", done.stderr
