"""The typed shape of a policy: one frozen model for each file in ``config/``.

Fractions are of NAV unless said otherwise. A limit that is ``None`` (``null`` in YAML) is no limit: its rule
does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

from pmx.policy.frozen_dict import FrozenDict

V = TypeVar("V")


def _without_blanks(name: str) -> str:
    if name != name.strip():
        raise ValueError(f"has blanks around it; write {name.strip()!r}")
    return name


Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
#: A year's, as a fraction: 0.20 is 20 %.
Volatility = Annotated[float, Field(gt=0.0, le=5.0, allow_inf_nan=False)]
#: A factor on a budget.
Factor = Annotated[float, Field(ge=0.0, le=10.0, allow_inf_nan=False)]
#: 1/100 % of a traded value, one side; 10,000 are all of it.
BasisPoints = Annotated[float, Field(ge=0.0, lt=10_000.0, allow_inf_nan=False)]
RoundTripBasisPoints = Annotated[float, Field(ge=0.0, lt=20_000.0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1), AfterValidator(_without_blanks)]
#: A name that becomes part of a rule's name and of a dotted key, so it holds no dot and no blank.
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]
#: 0: a soft rule gives way at its penalty. From 1 on: it gives way only where it must, the lowest ranks first.
Rank = Annotated[int, Field(ge=0, le=100)]
SolverName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Labelled = Annotated[Mapping[Label, V], AfterValidator(FrozenDict)]
BySymbol = Annotated[Mapping[Name, V], AfterValidator(FrozenDict)]


def _periods_per_year(value: object) -> float | str:
    if value == "auto":
        return "auto"
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.0 < value < math.inf:
        return float(value)
    raise ValueError("is neither a number above 0 nor auto; write auto, or bars in a year: 252 for business days")


PeriodsPerYear = Annotated[float | Literal["auto"], PlainValidator(_periods_per_year)]

#: Label of cash wherever weights are listed by symbol; no symbol may bear it.
CASH = "CASH"

#: More sessions than any table has, and fewer than are counted for a symbol that never had a close.
UNENDING = 2**62

#: What a soft rule may cost before it gives way, in multiples of the strongest pull that any wish or holding
#: exerts on the portfolio. At 10 it gives way only where a hard rule forces it.
SOFT_PENALTY = 10.0


class Section(BaseModel):
    """Frozen, strict, and closed: a key that is not a field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Return the keys that this section knows, in order."""
        return tuple(cls.model_fields)


# --- risk_buckets.yml ------------------------------------------------------------------------------------


class Portfolio(Section):
    """Limits on the whole portfolio and the metric of the projection."""

    base_currency: Name = "USD"
    distance: Literal["relative", "absolute", "risk"] = "relative"
    cash_min: Fraction | None = 0.0
    gross_max: Annotated[float, Field(gt=0.0, le=20.0, allow_inf_nan=False)] | None = 1.0
    volatility_max: Volatility | None = None  # annualised
    residual_symbol: Name | None = None


class Bucket(Section):
    """A named slice of NAV."""

    role: Literal["safe", "risk"]
    base_nav_frac: Fraction
    min_nav_frac: Fraction = 0.0
    max_nav_frac: Fraction = 1.0
    symbols: tuple[Name, ...] = ()  # names or shell patterns such as "NGX:*"; empty admits every symbol
    standing: BySymbol[Finite] = Field(default_factory=FrozenDict)  # relative weights held without any signal
    allow_short: bool = False
    notes: str = ""


class CustomRule(Section):
    """A linear rule of the user's own over symbols, buckets and markets."""

    symbols: BySymbol[Finite] = Field(default_factory=FrozenDict)
    buckets: Labelled[Finite] = Field(default_factory=FrozenDict)
    markets: Labelled[Finite] = Field(default_factory=FrozenDict)
    exposure: Literal["net", "gross"] = "net"  # net: signed weights; gross: their absolute values
    min: Finite | None = None
    max: Finite | None = None
    hard: bool = True
    penalty: NonNegative = SOFT_PENALTY
    rank: Rank = 0
    max_violation: NonNegative | None = None  # how far a ranked rule may give way


class RiskBuckets(Section):
    """``risk_buckets.yml``: NAV budgets."""

    enabled: bool = True
    default_bucket: Name | None = None  # bucket of a symbol that no bucket lists
    portfolio: Portfolio = Field(default_factory=Portfolio)
    buckets: Labelled[Bucket] = Field(default_factory=FrozenDict)
    custom_rules: Labelled[CustomRule] = Field(default_factory=FrozenDict)


# --- barbell.yml -----------------------------------------------------------------------------------------


class SafeBucket(Section):
    """The safe end of the barbell. Safe weight is 1 − Σ risk positions, so it includes cash."""

    symbols: tuple[Name, ...] = ()
    min_weight: Fraction = 0.70
    max_weight: Fraction | None = 0.95
    max_weight_penalty: NonNegative = 0.0  # 0: report only; > 0: lift risk by up to this fraction
    max_weight_rank: Rank = 0  # in place of the penalty
    max_weight_max_violation: NonNegative | None = None
    max_per_position: Fraction | None = 0.50


class RiskBucket(Section):
    """The risk end of the barbell."""

    max_weight: Fraction | None = 0.25
    max_per_position: Fraction | None = 0.10


class Barbell(Section):
    """``barbell.yml``: the Taleb barbell, the markets, and their caps."""

    enable_barbell_allocation: bool = True
    enable_barbell_validation: bool = False
    safe_bucket: SafeBucket = Field(default_factory=SafeBucket)
    risk_bucket: RiskBucket = Field(default_factory=RiskBucket)
    markets: Labelled[tuple[Name, ...]] = Field(default_factory=FrozenDict)  # market → names or shell patterns
    market_caps: Labelled[Fraction] = Field(default_factory=FrozenDict)
    symbol_caps: BySymbol[Fraction] = Field(default_factory=FrozenDict)


# --- risk_scaler.yml -------------------------------------------------------------------------------------


class BucketScaler(Section):
    """How one bucket's budget answers to its volatility and drawdown."""

    target_vol: Volatility  # annualised
    max_drawdown: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = 0.2  # tolerated
    vol_sensitivity: NonNegative = 1.0
    dd_sensitivity: NonNegative = 1.0
    min_scale: Factor = 0.25
    max_scale: Annotated[Factor, Field(gt=0.0)] = 1.0


class VolatilityModel(Section):
    """The volatility model of the scaler."""

    model: Literal["GARCH", "GJR", "EGARCH"] = "GARCH"
    distribution: Literal["normal", "t"] = "normal"
    window: Annotated[int, Field(ge=50)] = 1000  # bars
    refit_every: Annotated[int, Field(ge=1)] = 63  # bars
    min_observations: Annotated[int, Field(ge=20)] = 250
    ewma_decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.94
    periods_per_year: PeriodsPerYear = "auto"  # bars in a year; auto: by the dates of the prices


class RiskScaler(Section):
    """``risk_scaler.yml``."""

    enabled: bool = True
    volatility: VolatilityModel = Field(default_factory=VolatilityModel)
    covariance_decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.97
    buckets: Labelled[BucketScaler] = Field(default_factory=FrozenDict)


# --- signal_routing_config.yml ---------------------------------------------------------------------------


class Source(Section):
    """Where the signals of one source go, and what they must show to be heard."""

    bucket: Name
    priority: Annotated[int, Field(ge=1)]  # 1 is heard first
    min_edge: Annotated[float, Field(ge=0.0, le=10.0, allow_inf_nan=False)] = 0.0
    min_confidence: Fraction = 0.0
    fallback: bool = False  # heard only for symbols on which every higher source is silent
    market_buckets: Labelled[Label] = Field(default_factory=FrozenDict)  # market → bucket, in place of `bucket`


Member = Literal["ar_garch", "har_garch", "theta", "sarimax", "singular_spectrum"]


def _all_different(members: tuple[Member, ...]) -> tuple[Member, ...]:
    twice = sorted({member for member in members if members.count(member) > 1})
    if twice:
        raise ValueError(f"names {', '.join(twice)} twice; name each once")
    return members


class TimeSeriesEngine(Section):
    """The ensemble of time-series models."""

    enabled: bool = True
    members: Annotated[tuple[Member, ...], Field(min_length=1), AfterValidator(_all_different)] = (
        "ar_garch",
        "har_garch",
        "theta",
        "singular_spectrum",
    )
    horizon: Annotated[int, Field(ge=1)] = 10  # bars
    lags: Annotated[int, Field(ge=1, le=20)] = 1
    window: Annotated[int, Field(ge=100)] = 1000
    refit_every: Annotated[int, Field(ge=1)] = 21
    min_observations: Annotated[int, Field(ge=50)] = 500
    volatility: Literal["GARCH", "GJR", "EGARCH"] = "GARCH"
    distribution: Literal["normal", "t"] = "normal"
    seasonal_period: Annotated[int, Field(ge=2, le=260)] = 5  # of sarimax, bars
    weight_bars: Annotated[int, Field(ge=20)] = 504
    score_bars: Annotated[int, Field(ge=20)] = 504
    weight_shrinkage: Fraction = 0.75
    evidence: NonNegative = 1.25  # t statistic
    workers: Annotated[int, Field(ge=1)] = 1
    round_trip_cost_bps: RoundTripBasisPoints | None = None  # None: twice one side of the costs in execution.yml


class MachineLearningEngine(Section):
    """The learnt engine, by default gradient-boosted trees; needs the extra ``ml``."""

    enabled: bool = False
    horizon: Annotated[int, Field(ge=1)] = 10  # bars
    lags: Annotated[int, Field(ge=1, le=21)] = 5
    pooled: bool = True  # one model for all symbols; False: one each
    window: Annotated[int, Field(ge=100)] = 1500  # rows of the price table, as is refit_every
    refit_every: Annotated[int, Field(ge=1)] = 63
    min_observations: Annotated[int, Field(ge=50)] = 500  # days with a label
    folds: Annotated[int, Field(ge=2, le=50)] = 5
    embargo: Annotated[int, Field(ge=0)] = 10  # rows
    min_skill_t: NonNegative = 1.65  # t statistic in the walk-forward test, below which the engine is silent
    trees: Annotated[int, Field(ge=1, le=10_000)] = 100
    leaves: Annotated[int, Field(ge=2, le=1024)] = 8
    samples_per_leaf: Annotated[int, Field(ge=1)] = 50
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    round_trip_cost_bps: RoundTripBasisPoints | None = None  # None: twice one side of the costs in execution.yml


class LanguageModelEngine(Section):
    """The language model that is asked about symbols on which every other engine is silent."""

    endpoint: Name = "http://127.0.0.1:11434/v1"
    model: Name | None = None  # None: no language model is asked
    api_key_file: Name | None = None  # a file that holds the key; None: no key
    ca_file: Name | None = None  # PEM of the authorities to believe over https; None: those compiled into OpenSSL
    timeout_seconds: Annotated[float, Field(gt=0.0, le=600.0, allow_inf_nan=False)] = 30.0  # for all of one question
    max_response_bytes: Annotated[int, Field(ge=1024, le=16_777_216)] = 262_144  # headers included
    max_symbols: Annotated[int, Field(ge=1, le=500)] = 50  # in one question
    horizon: Annotated[int, Field(ge=1)] = 10  # bars
    bars: Annotated[int, Field(ge=5, le=250)] = 20  # returns of each symbol that are shown
    max_edge: Annotated[float, Field(gt=0.0, le=10.0, allow_inf_nan=False)] = 0.5  # largest believable |edge|
    max_age_days: Annotated[int, Field(ge=0, le=31)] = 5  # older prices are the past, of which it has read
    round_trip_cost_bps: RoundTripBasisPoints | None = None  # None: twice one side of the costs in execution.yml


class Engines(Section):
    """The signal engines that run."""

    time_series: TimeSeriesEngine = Field(default_factory=TimeSeriesEngine)
    machine_learning: MachineLearningEngine = Field(default_factory=MachineLearningEngine)
    language_model: LanguageModelEngine = Field(default_factory=LanguageModelEngine)


class CalibrationRule(Section):
    """How stated confidence becomes the share of such signals that came true; needs the extra ``ml``."""

    method: Literal["none", "isotonic", "platt"] = "none"
    window: Annotated[int, Field(ge=50)] = 5000  # latest outcomes, over all symbols, in a fit
    min_outcomes: Annotated[int, Field(ge=50)] = 100  # that share no bars
    refit_every: Annotated[int, Field(ge=1)] = 63  # rows of the price table


class SignalRouting(Section):
    """``signal_routing_config.yml``."""

    enable_llm_fallback: bool = False
    full_conviction: Labelled[Positive] = Field(default_factory=FrozenDict)  # bucket → Σ conviction that fills it
    default_full_conviction: Positive = 0.20
    sources: Labelled[Source] = Field(default_factory=FrozenDict)
    calibration: CalibrationRule = Field(default_factory=CalibrationRule)
    engines: Engines = Field(default_factory=Engines)


# --- quant_success_config.yml and forecaster_monitoring.yml ----------------------------------------------


#: Weight of each criterion in the score, where a policy gives none.
SCORE_WEIGHTS = FrozenDict(
    {
        "min_expected_profit": 2.0,
        "min_sharpe_ratio": 2.0,
        "min_sortino_ratio": 1.0,
        "min_profit_factor": 1.0,
        "max_drawdown": 2.0,
        "min_directional_accuracy": 1.0,
        "max_error_vs_baseline": 1.0,
    }
)


class QuantSuccess(Section):
    """``quant_success_config.yml``: what a time-series signal must have shown to pass."""

    judged_sources: tuple[Name, ...] = ("time_series_core",)
    horizon_bars: Annotated[int, Field(ge=1)] | None = None  # None: each engine's own
    lookback_bars: Annotated[int, Field(ge=20)] = 252
    min_judged: Annotated[int, Field(ge=2)] = 20
    folds: Annotated[int, Field(ge=1, le=50)] = 4
    min_expected_profit: Annotated[float, Field(ge=-1.0, le=1.0, allow_inf_nan=False)] = 0.0
    min_sharpe_ratio: Finite = 0.30
    min_sortino_ratio: Finite = 0.40
    min_profit_factor: NonNegative = 1.10
    max_drawdown: Fraction = 0.25
    min_directional_accuracy: Fraction = 0.5
    max_error_vs_baseline: Positive = 1.02  # forecast RMSE ÷ random-walk RMSE
    hard_criteria: tuple[Name, ...] = ("min_expected_profit", "max_drawdown")
    score_weights: Labelled[NonNegative] = SCORE_WEIGHTS
    pass_score: Fraction = 0.6


class GateRule(Section):
    """When a symbol is taken from engines whose signals on it have gone bad, and when it is given back."""

    window: Annotated[int, Field(ge=1)] = 10  # latest verdicts that are counted
    close_after: Annotated[int, Field(ge=1)] = 5  # FAIL verdicts among them that close the gate
    reopen_after: Annotated[int, Field(ge=1)] = 10  # PASS verdicts in a row that open it
    min_bars_closed: Annotated[int, Field(ge=1)] = 20
    expires_after: Annotated[int, Field(ge=1)] | None = 252  # bars without a FAIL that open it unproven; None: never
    mode: Literal["reduce_only", "exit"] | None = "exit"  # None: execution.gate_mode


class ForecasterMonitoring(Section):
    """``forecaster_monitoring.yml``: when a whole forecaster is no longer healthy, and when one symbol is gated."""

    lookback_signals: Annotated[int, Field(ge=1)] = 500
    max_fail_fraction: Fraction = 0.5
    max_negative_expected_profit_fraction: Fraction = 0.5
    min_signals: Annotated[int, Field(ge=1)] = 20
    gate: GateRule = Field(default_factory=GateRule)


# --- execution.yml ---------------------------------------------------------------------------------------


class Rebalance(Section):
    """When a backtest trades between the dates that its targets name."""

    schedule: Literal["on_breach", "on_targets", "daily", "weekly", "monthly"] = "on_breach"
    tolerance: Fraction = 0.0  # how far drift may exceed a hard rule before on_breach trades, fraction of NAV


class Turnover(Section):
    """Limits and prices on trading."""

    max: Fraction | None = 0.30  # ½ Σ|trade| ÷ NAV, one decision
    hard: bool = False
    penalty: NonNegative = SOFT_PENALTY
    rank: Rank = 0
    max_violation: NonNegative | None = None
    cost: NonNegative = 0.0  # κ: objective price of one NAV traded; a trade that gains less is not made


class Liquidity(Section):
    """Share of a day's volume that one decision may trade."""

    participation: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    hard: bool = False  # False: a forced sale may exceed it, and says so; True: never
    penalty: NonNegative = SOFT_PENALTY
    rank: Rank = 0
    max_violation: NonNegative | None = None


class Costs(Section):
    """What trading costs, in basis points of the traded value, one side."""

    commission_bps: BasisPoints = 1.0
    half_spread_bps: BasisPoints = 1.0
    per_symbol_bps: BySymbol[BasisPoints] = Field(default_factory=FrozenDict)  # all-in, replaces both


class Solver(Section):
    """Which cvxpy solvers are tried, in order."""

    name: SolverName = "CLARABEL"
    fallbacks: tuple[SolverName, ...] = ("OSQP", "SCS")


class Sizing(Section):
    """How weights become orders."""

    lot_size: Positive | None = None  # units in one lot; None: fractional
    lot_sizes: BySymbol[Positive] = Field(default_factory=FrozenDict)
    min_order_nav_frac: Fraction = 0.0


class Execution(Section):
    """``execution.yml``."""

    trade_at: Literal["next_close", "close"] = "next_close"
    rebalance: Rebalance = Field(default_factory=Rebalance)
    turnover: Turnover = Field(default_factory=Turnover)
    liquidity: Liquidity = Field(default_factory=Liquidity)
    costs: Costs = Field(default_factory=Costs)
    solver: Solver = Field(default_factory=Solver)
    sizing: Sizing = Field(default_factory=Sizing)
    max_stale_bars: Annotated[int, Field(ge=0)] = 5  # own sessions without a close; then it counts as delisted
    delisting: Literal["last_mark", "haircut", "hold"] = "last_mark"  # what becomes of what is held of it
    delisting_haircut: Fraction = 0.3  # fraction of the last mark that is lost; with haircut alone
    max_fx_age_days: Annotated[int, Field(ge=0)] = 5
    gate_mode: Literal["reduce_only", "exit"] = "reduce_only"  # for gates named without a mode

    @property
    def listed_for(self) -> int:
        """Sessions without a close for which a symbol counts as listed: without end where ``delisting`` is hold."""
        return UNENDING if self.delisting == "hold" else self.max_stale_bars


# --- options_config.yml ----------------------------------------------------------------------------------


class OptionsTrading(Section):
    """Derivatives. Not valued yet, so it cannot be switched on."""

    enabled: bool = False


class OptionsConfig(Section):
    """``options_config.yml``."""

    options_trading: OptionsTrading = Field(default_factory=OptionsTrading)


#: File stem → model, in the order in which the files are read.
SECTIONS: dict[str, type[Section]] = {
    "risk_buckets": RiskBuckets,
    "barbell": Barbell,
    "risk_scaler": RiskScaler,
    "signal_routing_config": SignalRouting,
    "quant_success_config": QuantSuccess,
    "forecaster_monitoring": ForecasterMonitoring,
    "execution": Execution,
    "options_config": OptionsConfig,
}
