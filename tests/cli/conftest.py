import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pmx.cli import app


@pytest.fixture
def pmx_command(tmp_path, monkeypatch):
    """Run a command line in an empty folder; the result has exit_code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PMX_TRACEBACK", raising=False)

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def wishes(tmp_path):
    file = tmp_path / "wishes.csv"
    file.write_text("symbol,weight\nSP500,0.30\nNASDAQ,0.20\nBIL,0.25\n", encoding="utf-8")
    return file


@pytest.fixture
def closes(tmp_path):
    """Write thirty closes of two symbols."""
    rng = np.random.default_rng(11)
    values = 100.0 * np.exp(np.cumsum(rng.normal(0.0005, 0.01, size=(30, 2)), axis=0))
    frame = pd.DataFrame(values, index=pd.bdate_range("2020-01-01", periods=30, name="date"), columns=["SP500", "WTI"])
    frame.to_csv(tmp_path / "closes.csv")
    return frame


@pytest.fixture
def targets(tmp_path, closes):
    frame = pd.DataFrame({"ts_core/SP500": 0.08, "ts_core/WTI": 0.30}, index=closes.index)
    frame.to_csv(tmp_path / "targets.csv")
    return frame
