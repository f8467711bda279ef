# Ranvier's tasks. Everything lives in .venv and build; `make clean` removes both.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:

PYTHON ?=
PORT ?= 6379
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq install
FUZZ_SECONDS ?= 600
MODEL_EXAMPLES ?= 2000
MODEL_SEED ?= 1
BENCH ?=
PYTEST ?=

ENGINE_SOURCES := setup.py $(shell find src/ranvier/engine -name '*.pyx' -o -name '*.pxd' -o -name '*.h')

.PHONY: help serve test bench fuzz model nightly sentinel faults crashes lint wheel clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS=$$'\t' read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

serve: $(VENV)/.installed ## build, install and start the server in the foreground [PORT=6379]
	@exec $(BIN)/ranvier --port $(PORT)

test: $(VENV)/.test-ready lint ## lint, 60 s of fuzzing and all tests, as CI runs them [PYTEST='-k name']
	@PYTHONPATH=tests $(BIN)/python tools/fuzz.py --seconds 60
	@$(BIN)/python -m pytest -n auto --dist loadfile $(PYTEST)

bench: $(VENV)/.test-ready ## the figures beside Valkey's: CPU, memory, neighbour, turns, start [BENCH='--only memory']
	@PYTHONPATH=tests $(BIN)/python tools/bench.py $(BENCH)

fuzz: $(VENV)/.test-ready ## fuzz parser and table, then the whole engine under sanitizers [FUZZ_SECONDS=600]
	@PYTHONPATH=tests $(BIN)/python tools/fuzz.py --seconds $(FUZZ_SECONDS) --sanitized-tests

model: $(VENV)/.test-ready ## random conversations in all modes beside Valkey [MODEL_EXAMPLES=2000 MODEL_SEED=1]
	@$(BIN)/python -m pytest tests/model --model-examples $(MODEL_EXAMPLES) --model-steps 60 --seed $(MODEL_SEED)

nightly: $(VENV)/.test-ready ## the long forms of tests: every type's machine, evicted keys and replicas, beside Valkey
	@RANVIER_MACHINE_COMMANDS=100000 RANVIER_EVICTION_REQUESTS=1000000 RANVIER_REPLICATED_COMMANDS=200000 \
		RANVIER_EVERY_PAIR=1 $(BIN)/python -m pytest -o timeout=7200 \
		tests/differential/machines tests/differential/test_eviction_quality.py tests/replication

sentinel: $(VENV)/.test-ready ## failovers by real Sentinels of Redis and Valkey, in every pairing of servers
	@RANVIER_EVERY_FAILOVER=1 $(BIN)/python -m pytest -o timeout=300 tests/sentinel

faults: $(VENV)/.test-ready ## every system call of a conversation fails, with every error that it can
	@RANVIER_EVERY_FAULT=1 $(BIN)/python -m pytest -o timeout=900 tests/lifecycle/test_failing_calls.py

crashes: $(VENV)/.test-ready ## 1,000 power cuts on a simulated disk and 200 times kill -9, with each fsync policy
	@RANVIER_CRASH_ROUNDS=1000 RANVIER_KILL_ROUNDS=200 $(BIN)/python -m pytest -o timeout=7200 \
		tests/persistence/test_power_cuts.py tests/persistence/test_kill.py

lint: $(VENV)/.test-ready ## ruff, mypy and cython-lint
	@$(BIN)/ruff check src tests tools setup.py
	@$(BIN)/mypy
	@PATH="$(abspath $(BIN)):$$PATH" cython-lint src

wheel: $(VENV)/.test-ready ## sdist and wheel into dist
	@$(BIN)/python -m build --no-isolation .

clean: ## remove what was built
	@rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find src -name '*.so' -delete
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.base: pyproject.toml
	@python=$(if $(PYTHON),'$(PYTHON)',$$(sh tools/pick_python.sh)); test -x $(BIN)/python || "$$python" -m venv $(VENV)
	@$(PIP) --upgrade $$($(BIN)/python tools/requirements.py build)
	@touch $@

# The engine is compiled in place and the package installed as editable: a change of Python needs no installation.
$(VENV)/.built: $(VENV)/.base $(ENGINE_SOURCES)
	@echo "Building the engine ..."
	@$(BIN)/python setup.py -q build_ext --inplace
	@touch $@

$(VENV)/.installed: $(VENV)/.built pyproject.toml
	@test $@ -nt pyproject.toml || $(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/.test-ready: $(VENV)/.installed tools/install_test_programs.sh
	@sh tools/install_test_programs.sh
	@test $@ -nt pyproject.toml || $(PIP) $$($(BIN)/python tools/requirements.py test lint)
	@touch $@
