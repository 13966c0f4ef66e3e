"""Prices and weights from files, checked, and the sample data of the demo."""

from pmx.data.prices import check_prices, read_prices
from pmx.data.sample import load_demo_cash_rate, load_demo_prices
from pmx.data.weights import read_weights

__all__ = ["check_prices", "load_demo_cash_rate", "load_demo_prices", "read_prices", "read_weights"]
