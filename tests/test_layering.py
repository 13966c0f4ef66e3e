"""Imports run one way, heavy packages stay where they belong, and ``import pmx`` is light.

errors ← arguments ← policy ← data ← signals, risk, portfolio, projection ← execution ← backtest ← monitoring ← cli
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pmx"

MIDDLE = {"signals", "risk", "portfolio", "projection"}
#: Part of pmx → the other parts that it may import.
ALLOWED = {
    "errors": set(),
    "arguments": {"errors"},
    "verify": set(),
    "policy": {"errors", "arguments"},
    "data": {"errors", "arguments", "policy"},
    **{stage: {"errors", "arguments", "policy", "data", "verify"} | MIDDLE - {stage} for stage in MIDDLE},
    "execution": {"errors", "arguments", "policy", "data"} | MIDDLE,
    "backtest": {"errors", "arguments", "policy", "data", "execution"} | MIDDLE,
    "linting": {"errors", "arguments", "policy"} | MIDDLE,
    "monitoring": {"errors", "arguments", "policy", "data", "execution", "backtest"} | MIDDLE,
}
#: The outermost parts, which may import everything.
OUTERMOST = {"__init__", "__main__", "cli"}
#: Package → the beginnings of the modules that may import it.
HOME = {
    "yaml": ("pmx.policy.",),
    "cvxpy": ("pmx.projection.",),
    "clarabel": ("pmx.projection.",),
    "numba": ("pmx.projection.kernels.compiled",),
    "sklearn": ("pmx.signals.scoring.calibration", "pmx.signals.machine_learning"),
    "arch": ("pmx.risk.arch_fit", "pmx.data.sample"),
    "statsmodels": ("pmx.signals.forecasting.smoothing", "pmx.signals.forecasting.sarimax"),
}
#: Too slow to import before they are wanted, wherever they are allowed; the compiled kernel is itself imported late.
LAZY = {"arch", "numba", "statsmodels"}
#: The compiled loops, which are themselves imported late.
KERNELS = "pmx.projection.kernels"


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts)


def imported(tree):
    """Yield (module, names, line, whether the import runs when the module is imported)."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, (), node.lineno, id(node) not in inside
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield "." * node.level + (node.module or ""), names, node.lineno, id(node) not in inside


def violations(module, source):
    """Return what one module does against the layering."""
    tree = ast.parse(source)
    part = module.split(".")[1]
    found = []
    for target, names, line, at_import in imported(tree):
        where = f"{module}:{line}"
        if target.startswith("."):
            if part != "verify":  # which may be copied elsewhere, and run under another name
                found.append(f"{where} imports relatively")
            continue
        top, *below = target.split(".")
        if top in HOME and not module.startswith(HOME[top]):
            found.append(f"{where} imports {top}")
        early = top in LAZY or (target.startswith(KERNELS) and (target, names) != (KERNELS, ("kernel",)))
        if early and at_import and not module.startswith(KERNELS):
            found.append(f"{where} imports {top} before it is wanted")
        if top == "os" and {"environ", "getenv"} & set(names) and part != "cli":
            found.append(f"{where} reads the environment")
        if top == "pmx" and part not in OUTERMOST:
            found += [f"{where} {what}" for what in crossings(part, below, names)]
    if part != "cli":
        found += [
            f"{module}:{node.lineno} reads the environment"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr in ("environ", "getenv")
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
        ]
    return found


def crossings(part, below, names):
    """Yield what is wrong with an import of ``pmx.<below>`` in one part of pmx."""
    for other in below[:1] or names:
        if other == part:
            continue
        if other not in ALLOWED[part]:
            yield f"imports pmx.{other}"
        elif part in MIDDLE and other in MIDDLE and len(below) > 1:
            yield f"imports the inside of pmx.{other}"


def test_every_module_keeps_to_its_layer():
    sources = sorted(PACKAGE.rglob("*.py"))
    assert len(sources) > 20
    assert [found for path in sources for found in violations(module_name(path), path.read_text("utf-8"))] == []


def test_every_part_of_the_package_has_its_layer():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts <= set(ALLOWED) | OUTERMOST


@pytest.mark.parametrize(
    ("module", "source", "what"),
    [
        ("pmx.errors", "import pmx.policy", "imports pmx.policy"),
        ("pmx.policy.policy", "from pmx.signals import Signal", "imports pmx.signals"),
        ("pmx.policy.policy", "from pmx import risk", "imports pmx.risk"),
        ("pmx.signals.router", "from pmx.execution import step", "imports pmx.execution"),
        ("pmx.portfolio.nav", "from pmx.projection.program import build", "imports the inside of pmx.projection"),
        ("pmx.portfolio.nav", "import pmx.projection.program", "imports the inside of pmx.projection"),
        ("pmx.execution.step", "def f():\n    from pmx.backtest import backtest", "imports pmx.backtest"),
        ("pmx.backtest.engine", "import pmx.cli", "imports pmx.cli"),
        ("pmx.data.prices", "from pmx.backtest import engine", "imports pmx.backtest"),
        ("pmx.risk.scaler", "from . import drawdown", "imports relatively"),
        ("pmx.risk.scaler", "import cvxpy as cp", "imports cvxpy"),
        ("pmx.signals.router", "import yaml", "imports yaml"),
        ("pmx.cli", "import yaml", "imports yaml"),
        ("pmx.signals.router", "def f():\n    from arch import arch_model", "imports arch"),
        ("pmx.risk.arch_fit", "from arch import arch_model", "imports arch before it is wanted"),
        ("pmx.execution.step", "import os\nos.environ.get('HOME')", "reads the environment"),
        ("pmx.execution.step", "import os\nos.getenv('HOME')", "reads the environment"),
        ("pmx.execution.step", "from os import environ", "reads the environment"),
    ],
)
def test_a_violation_would_be_seen(module, source, what):
    assert any(what in found for found in violations(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pmx.portfolio.nav", "from pmx.policy.policy import Policy\nfrom pmx.projection import solve"),
        ("pmx.risk.arch_fit", "def fit():\n    from arch import arch_model"),
        ("pmx.projection.cvxpy_engine", "import cvxpy"),
        ("pmx.cli", "import os\nos.environ.get('HOME')\nfrom pmx.backtest.engine import backtest"),
    ],
)
def test_what_is_allowed_is_not_a_violation(module, source):
    assert violations(module, source) == []


def test_importing_pmx_imports_nothing_heavy():
    heavy = ("cvxpy", "arch", "statsmodels", "numba", "pandas", "scipy", "plotly", "yaml")
    code = f"import sys, pmx; print(*[name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() == []


@pytest.mark.parametrize(
    ("module", "known"),
    [
        ("certificate", {"pmx.arguments", "pmx.projection.program", "pmx.projection.kernels"}),
        ("kernels/judging", {"pmx.projection.kernels.compiled"}),
        ("kernels/compiled", set()),
        ("kernels/__init__", set()),
        ("program", {"pmx.arguments"}),
    ],
)
def test_the_certificate_shares_nothing_with_the_engines(module, known):
    """It judges them, so it may know the arrays of a program and nothing that solves one."""
    source = (PACKAGE / "projection" / f"{module}.py").read_text(encoding="utf-8")
    assert {target for target, *_ in imported(ast.parse(source)) if target.startswith("pmx")} == known
