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
    """Where it listens, the folder that it shares with the tests, and the certificate that it shows for localhost."""

    port: int
    tls_port: int
    hello_port: int
    folder: Path
    ca_file: Path

    def endpoint(self, script: str) -> str:
        return f"http://127.0.0.1:{self.port}/{script}/v1"

    def secure_endpoint(self, script: str) -> str:
        return f"https://localhost:{self.tls_port}/{script}/v1"

    def engine(self, script: str, *, cost: object = 0.0, api_key: str | None = KEY, **config: object):
        options = {"model": "tiny", "timeout_seconds": 20.0, "endpoint": self.endpoint(script)} | config
        return LanguageModelFallback(
            LanguageModelEngine(**options), round_trip_cost=cost, api_key=api_key, today=lambda: TODAY
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language_model")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    make += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    subprocess.run(make.split(), check=True, capture_output=True)
    command = [sys.executable, str(SERVER), str(folder), str(certificate), str(key)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        ports = map(int, process.stdout.readline().split())
        yield Server(*ports, folder, certificate)
        process.stdin.close()
        process.wait(timeout=60)


@pytest.fixture
def prices():
    moves = np.random.default_rng(0).normal(0.0, 0.01, (90, len(SYMBOLS)))
    dates = pd.bdate_range(end=pd.Timestamp(TODAY), periods=90)
    return pd.DataFrame(100.0 * np.exp(np.cumsum(moves, axis=0)), index=dates, columns=SYMBOLS)
