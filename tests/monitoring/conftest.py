import pytest

from pmx.data import load_demo_cash_rate, load_demo_prices
from pmx.monitoring import demo_policy, demo_runs

#: An engine that needs less history, so that a short run has signals.
QUICK = (
    "signal_routing_config.engines.time_series.min_observations=60",
    "signal_routing_config.engines.time_series.window=100",
    "signal_routing_config.engines.time_series.refit_every=60",
)


@pytest.fixture(scope="session")
def policy():
    return demo_policy(QUICK)


@pytest.fixture(scope="session")
def runs(policy):
    return dict(demo_runs(policy, load_demo_prices().iloc[:150], load_demo_cash_rate()))
