"""Prices, weights, targets, rates and covariances from files, checked, and the sample data of the demo."""

from pmx.data.by_date import read_cash_rate, read_targets
from pmx.data.corporate_actions import read_dividends, read_splits
from pmx.data.covariance import read_covariance
from pmx.data.dates import dated
from pmx.data.prices import check_prices, read_prices
from pmx.data.quality import price_findings
from pmx.data.sample import load_demo_cash_rate, load_demo_prices
from pmx.data.volumes import read_adv, read_traded_values
from pmx.data.weights import read_weights

__all__ = [
    "check_prices",
    "dated",
    "load_demo_cash_rate",
    "load_demo_prices",
    "price_findings",
    "read_adv",
    "read_cash_rate",
    "read_covariance",
    "read_dividends",
    "read_prices",
    "read_splits",
    "read_targets",
    "read_traded_values",
    "read_weights",
]
