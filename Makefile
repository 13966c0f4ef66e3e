# Every target does its own set-up: a bare clone, Python 3.11 or later and make are enough.

PYTHON ?= python3
BIN := .venv/bin
READY := $(BIN)/.ready
PEERS := $(BIN)/.peers
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint health bench docs fuzz clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

setup: $(READY)  ## make .venv and install pmx with its tools into it

demo: $(READY)  ## twenty years of real prices through the whole portfolio; writes a report
	@$(BIN)/pmx demo

test: $(READY)  ## all tests but the long searches
	@$(BIN)/python -m pytest -q -n auto --dist worksteal -m "not fuzz"

lint: $(READY)  ## style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

health: $(READY)  ## judge the signals of a simulated market whose edge is known, and check that they are found healthy
	@$(BIN)/python examples/signal_health.py
	@$(BIN)/pmx health out/signal_audit.jsonl

bench: $(PEERS)  ## measure the speed of everything, side by side
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file" || exit 1; done

docs: $(READY)  ## run every example in the documentation, and check its links
	@$(BIN)/python -m pytest -q tests/test_docs.py pmx

fuzz: $(READY)  ## long random searches for a wrong answer
	@$(BIN)/python -m pytest -q -n auto --dist worksteal -m fuzz

clean:  ## remove everything that make has made
	rm -rf .venv build dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "pmx needs Python 3.11 or later; name one: make PYTHON=python3.12 ..."; exit 1; }
	@echo "installing pmx and its tools into .venv (a few minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

$(PEERS): $(READY)
	@echo "installing the peers of the benchmarks into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,bench]"
	@touch $@
