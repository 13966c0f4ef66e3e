"""A real server in a process of its own, and engines that ask it."""

import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pmx.policy.schema import LanguageModelEngine
from pmx.signals.language_model import LanguageModelFallback

SERVER = Path(__file__).resolve().parents[2] / "zoo" / "language_model_server.py"
TODAY = date(2024, 5, 17)
SYMBOLS = ["SPY", "WTI", "GLD"]
KEY = "sk-THIS-MUST-NEVER-BE-SEEN-1234567890"


@dataclass(frozen=True)
class Server:
    """Where it listens, and the folder that it shares with the tests."""

    port: int
    folder: Path

    def endpoint(self, script: str) -> str:
        return f"http://127.0.0.1:{self.port}/{script}/v1"

    def engine(self, script: str, *, cost: object = 0.0, api_key: str | None = KEY, **config: object):
        options = {"model": "tiny", "timeout_seconds": 20.0, "endpoint": self.endpoint(script)} | config
        return LanguageModelFallback(
            LanguageModelEngine(**options), round_trip_cost=cost, api_key=api_key, today=lambda: TODAY
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language_model")
    command = [sys.executable, str(SERVER), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Server(int(process.stdout.readline()), folder)
        process.stdin.close()
        process.wait(timeout=60)


@pytest.fixture
def prices():
    moves = np.random.default_rng(0).normal(0.0, 0.01, (90, len(SYMBOLS)))
    dates = pd.bdate_range(end=pd.Timestamp(TODAY), periods=90)
    return pd.DataFrame(100.0 * np.exp(np.cumsum(moves, axis=0)), index=dates, columns=SYMBOLS)
