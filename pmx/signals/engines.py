"""From the policy's switches, or from names, to engines."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pmx.arguments import checked
from pmx.errors import SignalError
from pmx.policy.problem import did_you_mean
from pmx.signals.types import FallbackEngine, SignalEngine

if TYPE_CHECKING:
    from pmx.policy import Policy
    from pmx.policy.schema import MachineLearningEngine, TimeSeriesEngine
    from pmx.signals.language_model import Secret

#: The engines that may be named, as in ``signal_routing_config.engines``, in the order in which they are built.
ENGINES = ("time_series", "machine_learning")
#: The one that is asked last, about the present only.
FALLBACK = "language_model"

_KEY = "signal_routing_config.engines"

log = logging.getLogger("pmx.signals")


@checked(elsewhere=["names"])
def engines_of(
    policy: Policy,
    round_trip_cost: float | Mapping[str, float],
    names: Iterable[str] | None = None,
    *,
    progress: bool = False,
) -> list[SignalEngine]:
    """Return the engines that the policy switches on, or those that are named.

    Parameters
    ----------
    policy : Policy
        Its ``signal_routing_config.engines``.
    round_trip_cost : float or mapping of symbol to float
        Cost of buying and selling again, fraction of the traded value, for engines with no ``round_trip_cost_bps``.
    names : iterable of str, optional
        Some of `ENGINES`, whether or not they are switched on.
    progress : bool
        Let the time-series engine show a progress bar where many fits are due at once, on standard error where that is
        a terminal.

    Returns
    -------
    list of SignalEngine
        In the order of `ENGINES`. A language model is never among them: see `fallback_of`.

    Raises
    ------
    SignalError
        If a name is unknown or given twice, or is that of the language model; or if what an engine needs is not
        installed.

    Examples
    --------
    >>> from pmx.policy import load_policy
    >>> [engine.source for engine in engines_of(load_policy(), 0.0004, ["machine_learning", "time_series"])]
    ['time_series_core', 'ml_secondary']
    """
    config = policy.signal_routing_config.engines
    switched_on = {name for name in ENGINES if getattr(config, name).enabled}
    wanted = switched_on if names is None else _known(names)
    engines: list[SignalEngine] = []
    if "time_series" in wanted:
        from pmx.signals.time_series import TimeSeriesCore

        cost = _cost(config.time_series.round_trip_cost_bps, round_trip_cost)
        core = TimeSeriesCore(config.time_series, round_trip_cost=cost, progress=progress)
        engines.append(_calibrated(policy, core, config.time_series))
    if "machine_learning" in wanted:
        from pmx.signals.machine_learning import MachineLearningSecondary

        cost = _cost(config.machine_learning.round_trip_cost_bps, round_trip_cost)
        learnt = MachineLearningSecondary(config.machine_learning, round_trip_cost=cost)
        engines.append(_calibrated(policy, learnt, config.machine_learning))
    return engines


@checked
def fallback_of(
    policy: Policy, round_trip_cost: float | Mapping[str, float], *, api_key: str | Secret | None = None
) -> FallbackEngine | None:
    """Return the language model that the policy switches on; None unless the switch is on and a model is named.

    A switch that is on while no model is named is logged as a warning.

    Parameters
    ----------
    policy : Policy
        Its ``signal_routing_config``.
    round_trip_cost : float or mapping of symbol to float
        As in `engines_of`.
    api_key : str or Secret, optional
        In place of the policy's ``api_key_file``.

    Raises
    ------
    SignalError
        If the endpoint or the key is malformed.

    Examples
    --------
    >>> from pmx.policy import load_policy
    >>> fallback_of(load_policy(), 0.0004) is None
    True
    >>> on = {"signal_routing_config.enable_llm_fallback": True, f"{_KEY}.language_model.model": "tiny"}
    >>> fallback_of(load_policy().override(on), 0.0004).source
    'llm_fallback'
    """
    config = policy.signal_routing_config.engines.language_model
    if not policy.signal_routing_config.enable_llm_fallback:
        return None
    if config.model is None:
        log.warning(
            "enable_llm_fallback is on, but %s.language_model.model is null, so that no language model is asked; name "
            "one that the endpoint serves, or switch it off",
            _KEY,
        )
        return None
    from pmx.signals.language_model import LanguageModelFallback

    cost = _cost(config.round_trip_cost_bps, round_trip_cost)
    return LanguageModelFallback(config, round_trip_cost=cost, api_key=api_key)


def _known(names: Iterable[str]) -> set[str]:
    if isinstance(names, str):
        raise SignalError(f"names of engines are the text {names!r}, not a list; write [{names!r}]")
    if not isinstance(names, Iterable) or getattr(names, "ndim", 1) != 1:
        raise SignalError(f"names of engines are a {type(names).__name__}, not a list; write ['time_series']")
    wanted: set[str] = set()
    for name in names:
        if not isinstance(name, str):
            raise SignalError(f"engine {name!r} is no name; give engines themselves to pmx.backtest or a Desk")
        if name == FALLBACK:
            raise SignalError(
                f"engine {name!r} cannot be named: a language model has read what came after any date of the past, so "
                "only live cycles ask it, with enable_llm_fallback; leave it out"
            )
        if name not in ENGINES:
            raise SignalError(f"engine {name!r} is unknown; {_nearest(name)}{_KEY} has {', '.join(ENGINES)}")
        if name in wanted:
            raise SignalError(f"engine {name!r} is named twice; name it once")
        wanted.add(name)
    return wanted


def _nearest(name: str) -> str:
    """Return a guess at the engine that was meant, with a dash, or nothing."""
    return f"{did_you_mean(name, ENGINES)} – " if get_close_matches(name, ENGINES) else ""


def _calibrated(policy: Policy, engine: SignalEngine, config: TimeSeriesEngine | MachineLearningEngine) -> SignalEngine:
    """Return the engine, its confidence calibrated where the policy asks for it."""
    rule = policy.signal_routing_config.calibration
    if rule.method == "none":
        return engine
    from pmx.signals.calibrated_engine import CalibratedEngine

    return CalibratedEngine(engine, rule, horizon=config.horizon)


def _cost(own_bps: float | None, round_trip_cost: float | Mapping[str, float]) -> float | Mapping[str, float]:
    return round_trip_cost if own_bps is None else own_bps * 1e-4
