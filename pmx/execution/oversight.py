"""Which engines are judged, what their verdicts are, and which symbols that shuts out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pmx.policy import Policy
from pmx.portfolio import CostModel
from pmx.signals import SignalEngine
from pmx.signals.judged_engine import JudgedEngine
from pmx.signals.success import Verdict

log = logging.getLogger("pmx.execution")

#: The gate that wins where two are asked for: the one that lets less through.
_STRICTNESS = {"reduce_only": 0, "exit": 1}


class Oversight:
    """Judge the signals of the sources that the policy names, as they are given.

    Parameters
    ----------
    policy : Policy
        Gates shut only while ``barbell.enable_barbell_validation`` is on.
    symbols : sequence of str
        The columns of all prices that will be given.
    engines : sequence of SignalEngine
        All engines.
    judge : bool
        Judge signals even where no gate may shut, for an audit log.
    costs : CostModel, optional
        What following a signal costs; the policy's when omitted.

    Attributes
    ----------
    engines : tuple of SignalEngine
        The same, those that are judged wrapped in `JudgedEngine`.
    """

    def __init__(
        self,
        policy: Policy,
        symbols: Sequence[str],
        engines: Sequence[SignalEngine],
        judge: bool,
        costs: CostModel | None = None,
    ) -> None:
        self._shuts = policy.barbell.enable_barbell_validation
        self._mode = policy.forecaster_monitoring.gate.mode or policy.execution.gate_mode
        self.engines: tuple[SignalEngine, ...] = tuple(engines)
        if self._shuts or judge:
            round_trip = (costs or CostModel.from_policy(policy)).round_trip(symbols)
            sources = policy.quant_success_config.judged_sources
            _warn_of_unjudged(engines, sources)
            self.engines = tuple(
                JudgedEngine(engine, policy, round_trip) if engine.source in sources else engine for engine in engines
            )
        self._judged = tuple(engine for engine in self.engines if isinstance(engine, JudgedEngine))

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Return the verdicts on the signals of the last bar that the engines were asked about.

        None of them says ``gated`` where the policy lets no gate shut, whatever the record of the symbol is.
        """
        found = tuple(verdict for engine in self._judged for verdict in engine.verdicts)
        return found if self._shuts else tuple(replace(verdict, gated=False) for verdict in found)

    @property
    def gated(self) -> dict[str, str]:
        """Return the symbols whose gate is shut at that bar, and how: ``forecaster_monitoring.gate.mode``.

        A gate is one rule for a symbol: it holds for what every engine, judged or not, and every bucket wants of it.
        """
        if not self._shuts:
            return {}
        return dict.fromkeys(sorted(symbol for engine in self._judged for symbol in engine.gated), self._mode)


def _warn_of_unjudged(engines: Sequence[SignalEngine], sources: Sequence[str]) -> None:
    unjudged = [engine.source for engine in engines if engine.source not in sources]
    if unjudged:
        log.warning(
            "nobody judges the signals of %s: quant_success_config.judged_sources is [%s]; they get no verdict and no "
            "line in an audit log, and shut no gate",
            ", ".join(unjudged),
            ", ".join(sources),
        )


def at_the_gate(reason: str, gate: str | None) -> str:
    """Return what becomes of a signal, and how the gate of its symbol is shut, if it is.

    Examples
    --------
    >>> at_the_gate("buy", "exit"), at_the_gate("buy", None)
    ('buy; its gate is shut (exit)', 'buy')
    """
    return reason if gate is None else f"{reason}; its gate is shut ({gate})"


def strictest(*gates: Mapping[str, str]) -> dict[str, str]:
    """Join gates; where a symbol has several, the strictest holds.

    Examples
    --------
    >>> strictest({"WTI": "exit", "SPY": "reduce_only"}, {"WTI": "reduce_only"})
    {'WTI': 'exit', 'SPY': 'reduce_only'}
    """
    joined: dict[str, str] = {}
    for some in gates:
        for symbol, mode in some.items():
            if _STRICTNESS.get(mode, 0) >= _STRICTNESS.get(joined.get(symbol, ""), -1):
                joined[symbol] = mode
    return joined
