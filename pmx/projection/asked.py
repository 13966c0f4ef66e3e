"""What a solve was asked, and as plain data: enough to ask it again, bit for bit, and to see why it was refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from pmx.errors import DataError
from pmx.projection.frame import Inputs
from pmx.projection.program import Array
from pmx.projection.universe import Gates, Universe

if TYPE_CHECKING:
    from pmx.projection.allocation import Allocation
    from pmx.projection.chain import Engine

RiskScale = Mapping[str, float] | pd.Series | Array | None

#: Entries of a malformed input that are kept, and characters of one that cannot be read at all.
MOST_KEPT, MOST_SHOWN = 1000, 200


class Given(NamedTuple):
    """What a caller gives beside the wish; see :meth:`pmx.Projector.solve`."""

    previous: pd.Series | Array | None = None
    gated: Gates = None
    covariance: pd.DataFrame | Array | None = None
    adv: Mapping[str, float] | pd.Series | None = None
    nav: float | None = None
    lower: pd.Series | Array | None = None
    upper: pd.Series | Array | None = None
    warm_start: Allocation | None = None
    engine: Engine = "auto"


NOTHING_ELSE = Given()


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One call of a solve.

    Attributes
    ----------
    how : {"solve", "project"}
        By relative weights, or by fractions of NAV.
    weights, risk_scale, given
        Its arguments, as they were given or as arrays.
    universe : Universe or None
        The positions; None where the call was refused before they were known.
    inputs : Inputs or None
        The arguments once they were read; None where one of them could not be.
    constraints : tuple of str
        Names of the caller's own constraints.
    warm, supposed : bool
        Whether the engine started from an earlier answer, and whether a bound was moved to ask what if.
    """

    how: Literal["solve", "project"]
    weights: Any
    risk_scale: RiskScale = None
    given: Given = NOTHING_ELSE
    universe: Universe | None = None
    inputs: Inputs | None = None
    constraints: tuple[str, ...] = ()
    warm: bool = False
    supposed: bool = False

    def read(self, weights: Array, inputs: Inputs) -> Asked:
        """Return the same call with what was read of it, and without the answer that it started from."""
        given = self.given if self.given.warm_start is None else self.given._replace(warm_start=None)
        return replace(self, weights=weights, inputs=inputs, given=given, warm=self.given.warm_start is not None)


def asked_record(asked: Asked) -> dict[str, Any]:
    """Return what a line of a journal says of a call; what cannot be read of it is said in words."""
    given, inputs = asked.given, asked.inputs
    held = given.previous if inputs is None else inputs.held
    return {
        "how": asked.how,
        "weights": _vector(asked, asked.weights, "weights"),
        "risk_scale": _scales(asked),
        "previous": _vector(asked, held, "previous"),
        "gates": _gates(asked),
        "adv": _volumes(asked),
        "nav": None if given.nav is None else number(given.nav),
        "covariance": _covariance(asked),
        "bounds": _bounds(asked),
        "engine": str(given.engine)[:MOST_SHOWN],
        "constraints": list(asked.constraints),
        "warm_start": asked.warm or given.warm_start is not None,
        "what_if": asked.supposed,
    }


def number(value: Any) -> Any:
    """Return a number as JSON can hold it: one that is not finite in words, and what is none by its text."""
    try:
        x = float(value)
    except (TypeError, ValueError, OverflowError):
        return unread(value)
    return x if math.isfinite(x) else str(x)


def unread(value: Any) -> dict[str, str]:
    """Return what stands in a journal for an argument that cannot be read."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  (a stranger's repr may do anything)
        text = f"{type(value).__name__}, whose repr raises {type(error).__name__}"
    return {"unread": text[:MOST_SHOWN]}


def _vector(asked: Asked, values: Any, name: str) -> Any:
    """Return one number a position; pairs of label and number where they are not of the universe."""
    if values is None:
        return None
    if asked.universe is not None:
        try:
            return [number(x) for x in asked.universe.array(values, name, unlimited=True).tolist()]
        except DataError:
            pass  # the refusal says what is wrong; here is what was given
    if isinstance(values, np.ndarray):
        return [number(x) for x in values.ravel()[:MOST_KEPT].tolist()]
    if isinstance(values, pd.Series | Mapping):
        pairs = list(zip(values.keys(), values.values() if isinstance(values, Mapping) else values, strict=True))
        return [[_label(label), number(x)] for label, x in pairs[:MOST_KEPT]]
    return unread(values)


def _label(label: Any) -> Any:
    return [str(part) for part in label] if isinstance(label, tuple) else str(label)


def _scales(asked: Asked) -> Any:
    scale = asked.risk_scale
    if scale is None:
        return None
    if isinstance(scale, np.ndarray) and asked.universe is not None:
        buckets = tuple(asked.universe.policy.risk_buckets.buckets)
        return dict(zip(buckets, map(number, scale.ravel().tolist()), strict=False))
    return _named(scale)


def _named(values: Any) -> Any:
    """Return numbers by name."""
    if not isinstance(values, Mapping | pd.Series):
        return unread(values)
    return {str(name): number(value) for name, value in list(values.items())[:MOST_KEPT]}


def _gates(asked: Asked) -> Any:
    if asked.universe is None:
        return None if asked.given.gated is None else unread(asked.given.gated)
    if asked.inputs is not None:
        # What stands in for cash may be gated too, though it is no position.
        known = {*asked.universe.symbols, asked.universe.policy.risk_buckets.portfolio.residual_symbol}
        return {str(s): str(mode) for s, mode in asked.inputs.gates.items() if s in known}
    try:
        return {str(s): str(mode) for s, mode in asked.universe.gates(asked.given.gated).items()}
    except (DataError, TypeError):
        return unread(asked.given.gated)


def _volumes(asked: Asked) -> Any:
    """Return the traded values of the universe, where the policy reads them."""
    adv, universe = asked.given.adv, asked.universe
    if adv is None or universe is None or universe.policy.execution.liquidity.participation is None:
        return None
    if not isinstance(adv, Mapping | pd.Series):
        return unread(adv)
    return {str(symbol): number(adv[symbol]) for symbol in dict.fromkeys(universe.symbols) if symbol in adv}


def _covariance(asked: Asked) -> Any:
    """Return the covariance, where the policy reads it: by symbol, or by position where it was given so."""
    given, universe = asked.given.covariance, asked.universe
    if given is None or universe is None:
        return None
    portfolio = universe.policy.risk_buckets.portfolio
    if portfolio.volatility_max is None and portfolio.distance != "risk":
        return None
    if asked.inputs is None or asked.inputs.covariance is None:
        return unread(given)
    if isinstance(given, np.ndarray):
        return {"symbols": None, "values": asked.inputs.covariance.tolist()}
    symbols = list(dict.fromkeys([*universe.symbols, portfolio.residual_symbol]))
    symbols = [symbol for symbol in symbols if symbol in given.index and symbol in given.columns]
    values = given.reindex(index=symbols, columns=symbols).to_numpy(dtype=np.float64)
    return {"symbols": [str(symbol) for symbol in symbols], "values": values.tolist()}


def _bounds(asked: Asked) -> Any:
    given, inputs = asked.given, asked.inputs
    if inputs is None:
        ends = {"lower": given.lower, "upper": given.upper}
    elif inputs.bounds is None:
        return None
    else:
        ends = {"lower": inputs.bounds[0], "upper": inputs.bounds[1]}
    read = {name: _vector(asked, values, name) for name, values in ends.items()}
    return None if all(values is None for values in read.values()) else read
