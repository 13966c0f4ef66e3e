"""The policy's engines, with what trading costs under the same policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pmx.arguments import checked
from pmx.policy import Policy
from pmx.portfolio import CostModel
from pmx.signals import FallbackEngine, SignalEngine, engines_of, fallback_of

if TYPE_CHECKING:
    from pmx.signals.language_model import Secret


@checked(elsewhere=["names"])
def default_engines(
    policy: Policy,
    symbols: Sequence[str],
    names: Sequence[str] | None = None,
    *,
    costs: CostModel | None = None,
    progress: bool = False,
) -> list[SignalEngine]:
    """Return the engines that the policy switches on, or those that are named, priced for these symbols.

    Their round-trip cost is their own ``round_trip_cost_bps``, or else twice one side of ``costs``, those of
    ``execution.yml`` when omitted. With ``progress``, long work on fits shows a bar, on standard error where that is a
    terminal.

    Raises
    ------
    SignalError
        As `pmx.signals.engines_of`.

    Examples
    --------
    >>> import pmx
    >>> [engine.source for engine in default_engines(pmx.load_policy(), ["SP500"])]
    ['time_series_core']
    """
    return engines_of(policy, (costs or CostModel.from_policy(policy)).round_trip(symbols), names, progress=progress)


@checked
def fallback_engines(
    policy: Policy, symbols: Sequence[str], *, api_key: str | Secret | None = None
) -> list[FallbackEngine]:
    """Return the language model that the policy switches on, priced for these symbols; none where it is off.

    It is for live cycles only: give ``[*default_engines(...), *fallback_engines(...)]`` to the desk.

    Raises
    ------
    SignalError
        If its endpoint or its key is malformed.

    Examples
    --------
    >>> import pmx
    >>> fallback_engines(pmx.load_policy(), ["SP500"])
    []
    """
    fallback = fallback_of(policy, CostModel.from_policy(policy).round_trip(symbols), api_key=api_key)
    return [] if fallback is None else [fallback]
