"""Calls of readers, of the policy and of its check."""

from __future__ import annotations

from pathlib import Path

from zoo.calls import case
from zoo.calls.market import BY_POSITION, COVARIANCE, INDEX, POLICY, PRICES, SYMBOLS, TARGETS

import pmx
from pmx import data, linting, policy, verify

case("data.load_demo_cash_rate", heavy=True)(lambda _: (data.load_demo_cash_rate, {}))
case("data.load_demo_prices", heavy=True)(lambda _: (data.load_demo_prices, {}))
case("data.check_prices")(lambda _: (data.check_prices, {"frame": PRICES.copy(), "name": "prices"}))

case("data.price_findings")(lambda _: (data.price_findings, {"prices": PRICES.copy()}))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@case("data.read_prices")
def _(folder):
    return data.read_prices, {"path": written(folder / "prices.csv", PRICES.to_csv(index_label="date"))}


@case("data.read_targets")
def _(folder):
    path = written(folder / "targets.csv", TARGETS.to_csv(index_label="date"))
    return data.read_targets, {"path": path, "buckets": ("ts_core",)}


@case("data.read_cash_rate")
def _(folder):
    return data.read_cash_rate, {"path": written(folder / "rate.csv", "date,rate\n2020-01-01,0.0001\n")}


@case("data.read_covariance")
def _(folder):
    return data.read_covariance, {"path": written(folder / "covariance.csv", COVARIANCE.to_csv(index_label="symbol"))}


@case("data.read_weights")
def _(folder):
    return data.read_weights, {"path": written(folder / "weights.csv", "symbol,weight\nSP500,0.25\n")}


@case("policy.load_policy")
def _(folder):
    policy.write_default_policy(folder / "config")
    return policy.load_policy, {"path": folder / "config", "overrides": {"barbell.safe_bucket.min_weight": 0.75}}


@case("policy.write_default_policy")
def _(folder):
    return policy.write_default_policy, {"directory": folder / "config", "overwrite": False}


case("policy.shipped_config")(lambda _: (policy.shipped_config, {}))
case("policy.parse_override")(lambda _: (policy.parse_override, {"text": "barbell.safe_bucket.min_weight=0.8"}))
case("policy.Policy")(lambda _: (policy.Policy, {"barbell": POLICY.barbell, "execution": POLICY.execution}))
case("policy.Policy.from_mapping")(
    lambda _: (policy.Policy.from_mapping, {"data": {"barbell": {"safe_bucket": {"min_weight": 0.5}}}, "sources": None})
)
case("policy.Policy.override")(lambda _: (POLICY.override, {"values": {"barbell.safe_bucket.min_weight": 0.75}}))
case("policy.Policy.source")(lambda _: (POLICY.source, {"key": "barbell.safe_bucket.min_weight"}))
case("policy.Policy.bucket_of")(lambda _: (POLICY.bucket_of, {"symbol": "SP500"}))
case("policy.Policy.admits")(lambda _: (POLICY.admits, {"bucket": "ts_core", "symbol": "SP500"}))
case("policy.Policy.markets_of")(lambda _: (POLICY.markets_of, {"symbol": "WTI"}))
case("linting.check_policy", heavy=True)(lambda _: (linting.check_policy, {"policy": POLICY, "symbols": list(SYMBOLS)}))
case("linting.Corner")(lambda _: (linting.Corner, {"scales": {"ts_core": 1.0}, "gates": {"SP500": "exit"}}))
case("linting.Finding")(
    lambda _: (linting.Finding, {"code": "PMX001", "source": "x", "message": "m", "remedy": "r", "rules": ("a",)})
)
case("linting.PolicyCheck")(lambda _: (linting.PolicyCheck, {"findings": (), "symbols": ("SP500",)}))


@case("linting.check_config", heavy=True)
def _(folder):
    policy.write_default_policy(folder / "config")
    return linting.check_config, {"path": folder / "config", "overrides": {}, "symbols": list(SYMBOLS)}


@case("linting.PolicyCheck.of")
def _(_):
    check = linting.PolicyCheck((), symbols=("SP500",))
    return lambda severity: check.of(severity), {"severity": linting.Severity.error}


case("verify.Finding")(lambda _: (verify.Finding, {"line": 1, "rule": "a", "message": "m"}))
case("verify.Verdict")(lambda _: (verify.Verdict, {"lines": 1}))


@case("verify.verify", heavy=True)
def _(folder):
    path = folder / "journal.jsonl"
    pmx.Projector(POLICY, INDEX).project(BY_POSITION, journal=path)
    return verify.verify, {"path": path}


for kind in ("splits", "dividends"):
    case(f"data.read_{kind}")(
        lambda folder, kind=kind: (
            getattr(data, f"read_{kind}"),
            {"path": written(folder / f"{kind}.csv", "date,symbol,value\n2020-08-31,AAPL,4\n")},
        )
    )
STRICTER = POLICY.override({"barbell.safe_bucket.min_weight": 0.75})
case("policy.Policy.diff", heavy=True)(lambda _: (POLICY.diff, {"other": STRICTER}))
case("policy.policy_diff", heavy=True)(lambda _: (policy.policy_diff, {"a": POLICY, "b": STRICTER}))
case("policy.Policy.is_safe")(lambda _: (POLICY.is_safe, {"symbol": "SP500"}))
case("data.read_adv")(
    lambda folder: (data.read_adv, {"path": written(folder / "adv.csv", "symbol,adv\nSP500,1000000\n")})
)
case("data.read_traded_values")(
    lambda folder: (
        data.read_traded_values,
        {"path": written(folder / "values.csv", PRICES.to_csv(index_label="date"))},
    )
)
case("data.dated")(lambda _: (data.dated, {"table": PRICES.copy(), "name": "prices"}))
