"""Policies with one fault each: what to change in the shipped files, what the check must say, and at which line."""

from __future__ import annotations

from dataclasses import dataclass

from pmx.policy import load_policy, shipped_config, write_default_policy


@dataclass(frozen=True)
class BadPolicy:
    """One seeded fault.

    Attributes
    ----------
    name : str
        What is wrong.
    code : str
        The code of the finding, and of every other error or warning.
    changes : dict of str to str or None
        Dotted key of the shipped policy to the YAML text that takes the place of its value; None removes its line.
    at : str
        The key at whose line the finding must stand.
    symbols : tuple of str or None
        Symbols that are given to the check.
    """

    name: str
    code: str
    changes: dict[str, str | None]
    at: str
    symbols: tuple[str, ...] | None = None

    def write(self, directory):
        """Write the shipped policy with the fault into a directory, and return the place of the finding."""
        write_default_policy(directory)
        shipped = load_policy(shipped_config())
        for key, text in self.changes.items():
            name, number = shipped.source(key).split(":")
            lines = (directory / name).read_text(encoding="utf-8").splitlines()
            indented_key = lines[int(number) - 1].partition(":")[0]
            lines[int(number) - 1] = "" if text is None else f"{indented_key}: {text}"
            (directory / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return shipped.source(self.at)


BUCKETS = "risk_buckets.buckets"
CUSTOM = "risk_buckets.custom_rules"
SCALER = "risk_scaler.buckets"
SAFE, RISK = "barbell.safe_bucket", "barbell.risk_bucket"
SOURCES = "signal_routing_config.sources"


def own(text: str) -> dict[str, str]:
    return {CUSTOM: f"{{own: {{{text}}}}}"}


NO_GLD = "[SP500, NASDAQ, SPY, QQQ, WTI, USO]"
WITHOUT_EM = "{ngx: ngx_risk}"

BAD_POLICIES = (
    # Files that do not load.
    BadPolicy("a percentage", "policy-error", {f"{SAFE}.min_weight": "70"}, f"{SAFE}.min_weight"),
    BadPolicy("a misspelt switch", "policy-error", {"barbell.enable_barbell_allocation": "ja"},
              "barbell.enable_barbell_allocation"),
    BadPolicy("a floor above its cap", "policy-error", {f"{SAFE}.min_weight": "0.96"}, f"{SAFE}.min_weight"),
    BadPolicy("a safe symbol in a risk bucket", "policy-error", {f"{BUCKETS}.tail_hedge.symbols": "[VIXY, BIL]"},
              f"{BUCKETS}.tail_hedge.symbols"),
    BadPolicy("a source of an unknown bucket", "policy-error", {f"{SOURCES}.ml_secondary.bucket": "ml"},
              f"{SOURCES}.ml_secondary.bucket"),
    BadPolicy("scales the wrong way round", "policy-error", {f"{SCALER}.ml_secondary.min_scale": "2.0"},
              f"{SCALER}.ml_secondary.min_scale"),
    BadPolicy("a market read as false", "policy-error", {"barbell.markets.em": "[EEM, NO]"}, "barbell.markets.em"),
    # Rules that clash.
    BadPolicy("a minimum above the symbol's cap", "infeasible-corner", own("symbols: {SP500: 1.0}, min: 0.2"), CUSTOM),
    BadPolicy("a minimum above the cap on risk", "infeasible-corner",
              own("buckets: {ts_core: 1.0, ml_secondary: 1.0}, min: 0.3"), CUSTOM),
    BadPolicy("a minimum above the market's cap", "infeasible-corner", own("markets: {ngx: 1.0}, min: 0.06"), CUSTOM),
    BadPolicy("a minimum above the least scale", "infeasible-corner", own("buckets: {ts_core: 1.0}, min: 0.1"), CUSTOM),
    BadPolicy("a minimum that needs signals", "infeasible-corner", own("buckets: {ts_core: 1.0}, min: 0.03"), CUSTOM),
    BadPolicy("a minimum that a short signal breaks", "infeasible-corner",
              own("buckets: {ts_core: 1.0}, min: 0.05")
              | {f"{BUCKETS}.ts_core.allow_short": "true", "risk_scaler.enabled": "false"}, CUSTOM),
    BadPolicy("a negative maximum without shorts", "infeasible-corner", own("symbols: {SP500: 1.0}, max: -0.01"),
              CUSTOM),
    BadPolicy("a minimum that may not give way far enough", "infeasible-corner",
              own("symbols: {SP500: 1.0}, min: 0.3, hard: false, rank: 1, max_violation: 0.1"), CUSTOM),
    BadPolicy("a safe cap that rules all cash out", "infeasible-corner",
              {f"{SAFE}.max_weight_rank": "1", f"{SAFE}.max_weight_max_violation": "0.02"}, f"{SAFE}.max_weight"),
    BadPolicy("two minima that clash", "infeasible-corner",
              {CUSTOM: "{one: {markets: {us_equity: 1.0}, min: 0.18}, two: {markets: {commodities: 1.0}, min: 0.08}}"},
              CUSTOM),
    BadPolicy("a minimum of bills that gates break", "infeasible-when-gated", own("buckets: {safe: 1.0}, min: 0.3"),
              CUSTOM),
    BadPolicy("a minimum of one symbol that a gate breaks", "infeasible-when-gated",
              own("symbols: {BIL: 1.0}, min: 0.1"), CUSTOM),
    BadPolicy("a hard limit on turnover", "infeasible-turnover", {"execution.turnover.hard": "true"},
              "execution.turnover.max"),
    # Files that disagree.
    BadPolicy("0.65 in one file and 0.75 in another", "files-disagree",
              {f"{SAFE}.min_weight": "0.75", f"{BUCKETS}.safe.min_nav_frac": "0.65"}, f"{SAFE}.min_weight"),
    BadPolicy("a lower safe minimum in the barbell", "files-disagree", {f"{SAFE}.min_weight": "0.65"},
              f"{SAFE}.min_weight"),
    BadPolicy("a bucket beyond the safe cap", "files-disagree", {f"{BUCKETS}.safe.max_nav_frac": "0.99"},
              f"{SAFE}.max_weight"),
    BadPolicy("a bill that only the barbell lists", "files-disagree", {f"{SAFE}.symbols": "[BIL, SHV, SHY, TFLO]"},
              f"{SAFE}.symbols"),
    BadPolicy("a bill that only the bucket lists", "files-disagree",
              {f"{BUCKETS}.safe.symbols": "[BIL, SHV, SHY, TFLO]"}, f"{BUCKETS}.safe.symbols"),
    # Rules that mean nothing.
    BadPolicy("a bucket's maximum above the cap on risk", "shadowed-rule", {f"{BUCKETS}.ts_core.max_nav_frac": "0.40"},
              f"{BUCKETS}.ts_core.max_nav_frac"),
    BadPolicy("a market's cap above the cap on risk", "shadowed-rule", {"barbell.market_caps.us_equity": "0.30"},
              "barbell.market_caps.us_equity"),
    BadPolicy("leverage that nothing can use", "shadowed-rule", {"risk_buckets.portfolio.gross_max": "1.5"},
              "risk_buckets.portfolio.gross_max"),
    BadPolicy("a symbol's cap above that of all", "shadowed-rule", {"barbell.symbol_caps": "{WTI: 0.2}"},
              "barbell.symbol_caps"),
    BadPolicy("a rule above the symbol's cap", "shadowed-rule", own("symbols: {SP500: 1.0}, max: 0.2"), CUSTOM),
    BadPolicy("a cap on risky positions above every other", "shadowed-rule", {f"{RISK}.max_per_position": "0.30"},
              f"{RISK}.max_per_position"),
    BadPolicy("a cap on safe positions above the bucket's", "shadowed-rule", {f"{SAFE}.max_per_position": "0.97"},
              f"{SAFE}.max_per_position"),
    BadPolicy("a lower limit that nothing gets to", "shadowed-rule",
              own("symbols: {SP500: 1.0, WTI: -1.0}, min: -0.2, max: 0.05"), CUSTOM),
    BadPolicy("a soft rule that nothing gets to", "shadowed-rule",
              own("markets: {commodities: 1.0}, max: 0.15, hard: false"), CUSTOM),
    BadPolicy("a rule that two caps keep", "never-binds", own("symbols: {SP500: 1.0, WTI: 1.0}, max: 0.22"), CUSTOM),
    BadPolicy("a rule that two buckets keep", "never-binds",
              own("buckets: {llm_fallback: 1.0, tail_hedge: 1.0}, max: 0.08"), CUSTOM),
    BadPolicy("a minimum below nothing", "never-binds", own("symbols: {SP500: 1.0}, min: -0.1, max: 0.05"), CUSTOM),
    # Budgets and scales.
    BadPolicy("a budget above the cap of its only symbol", "unfillable-budget",
              {f"{BUCKETS}.tail_hedge.base_nav_frac": "0.15", f"{BUCKETS}.tail_hedge.max_nav_frac": "0.20"},
              f"{BUCKETS}.tail_hedge.base_nav_frac"),
    BadPolicy("a budget above the caps of three bills", "unfillable-budget", {f"{SAFE}.max_per_position": "0.20"},
              f"{BUCKETS}.safe.base_nav_frac"),
    BadPolicy("a budget above its market's cap", "unfillable-budget", {"barbell.market_caps.ngx": "0.02"},
              f"{BUCKETS}.ngx_risk.base_nav_frac"),
    BadPolicy("a highest scale below 1", "unfillable-budget", {f"{SCALER}.ml_secondary.max_scale": "0.8"},
              f"{SCALER}.ml_secondary.max_scale"),
    BadPolicy("minima above the cap on risk", "unfillable-budget",
              {f"{BUCKETS}.ts_core.min_nav_frac": "0.15", f"{BUCKETS}.ml_secondary.min_nav_frac": "0.05",
               f"{BUCKETS}.ngx_risk.min_nav_frac": "0.03", f"{BUCKETS}.em_risk.min_nav_frac": "0.03",
               f"{BUCKETS}.em_risk.base_nav_frac": "0.03"},
              f"{BUCKETS}.ts_core.min_nav_frac"),
    BadPolicy("a minimum below the least scale", "unreachable-minimum", {f"{BUCKETS}.ts_core.min_nav_frac": "0.02"},
              f"{BUCKETS}.ts_core.min_nav_frac"),
    BadPolicy("a minimum without scaling", "unreachable-minimum",
              {f"{BUCKETS}.em_risk.min_nav_frac": "0.01", "risk_scaler.enabled": "false"},
              f"{BUCKETS}.em_risk.min_nav_frac"),
    BadPolicy("a scale beyond the maximum", "unreachable-scale", {f"{SCALER}.ts_core.max_scale": "2.0"},
              f"{SCALER}.ts_core.max_scale"),
    # Symbols, buckets, markets.
    BadPolicy("a capped symbol in no market", "symbol-without-market", {"barbell.symbol_caps": "{TSLA: 0.05}"},
              "barbell.symbol_caps"),
    BadPolicy("a symbol that lost its market", "symbol-without-market", {"barbell.markets.commodities": "[USO, GLD]"},
              "execution.costs.per_symbol_bps.WTI"),
    BadPolicy("a traded symbol in no market", "symbol-without-market", {}, "barbell.markets",
              ("AAPL", "NGX:A", "EM:B")),
    BadPolicy("a misspelt symbol", "name-misspelt", {f"{BUCKETS}.tail_hedge.symbols": "[NASDQ]"},
              f"{BUCKETS}.tail_hedge.symbols", ("NASDAQ", "NGX:A", "EM:B")),
    BadPolicy("a symbol for no bucket", "symbol-without-bucket",
              {f"{BUCKETS}.{name}.symbols": NO_GLD for name in ("ts_core", "ml_secondary", "llm_fallback")},
              "barbell.markets.commodities"),
    BadPolicy("a bucket that matches nothing", "empty-bucket",
              {f"{BUCKETS}.em_risk.symbols": '["EX:*"]', f"{SOURCES}.time_series_core.market_buckets": WITHOUT_EM,
               f"{SOURCES}.ml_secondary.market_buckets": WITHOUT_EM},
              f"{BUCKETS}.em_risk.symbols", ("NGX:A", "EM:B")),
    BadPolicy("a market without symbols", "empty-market", {"barbell.markets.em": "[]"}, "barbell.markets.em"),
    BadPolicy("a market without a cap", "market-without-cap", {"barbell.market_caps.ngx": None}, "barbell.markets.ngx"),
    BadPolicy("anything is safe", "safe-admits-all", {f"{SAFE}.symbols": "[]", f"{BUCKETS}.safe.symbols": "[]"},
              f"{BUCKETS}.safe.symbols"),
    BadPolicy("signals to a bucket that drops them", "signals-dropped",
              {f"{SOURCES}.time_series_core.market_buckets": "{ngx: em_risk, em: em_risk}"},
              f"{SOURCES}.time_series_core.market_buckets"),
    # Lines that are missing, switches, data.
    BadPolicy("no maximum of a bucket", "default-limit", {f"{BUCKETS}.ts_core.max_nav_frac": None},
              f"{BUCKETS}.ts_core"),
    BadPolicy("no cap on risky positions", "default-limit", {f"{RISK}.max_per_position": None}, RISK),
    BadPolicy("no limit of leverage", "default-limit", {"risk_buckets.portfolio.gross_max": None},
              "risk_buckets.portfolio"),
    BadPolicy("no least scale", "default-limit", {f"{SCALER}.ngx_risk.min_scale": None}, f"{SCALER}.ngx_risk"),
    BadPolicy("no limit of turnover", "default-limit", {"execution.turnover.max": None}, "execution.turnover"),
    BadPolicy("a hard limit on forced sales", "hard-liquidity",
              {"execution.liquidity.participation": "0.1", "execution.liquidity.hard": "true"},
              "execution.liquidity.hard"),
    BadPolicy("a language model without a name", "nobody-to-ask",
              {"signal_routing_config.enable_llm_fallback": "true"}, "signal_routing_config.enable_llm_fallback"),
    BadPolicy("no barbell", "layer-off", {"barbell.enable_barbell_allocation": "false"},
              "barbell.enable_barbell_allocation"),
    BadPolicy("no budgets", "layer-off", {"risk_buckets.enabled": "false"}, "risk_buckets.enabled"),
)  # fmt: skip
