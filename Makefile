# `make` alone explains itself. Everything it needs is Python 3.11+ and the network, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# one for each set of packages: who runs the stack needs no linter
LOCAL := $(VENV)/.local
DEV := $(VENV)/.dev
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on --retries 5 \
	-c deploy/constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup run up down status compile test test-full faults sdks check fuzz bench bench-compare clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV) ## create .venv and install everything, pinned, the developers' tools too

$(LOCAL): pyproject.toml deploy/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@test -x $(BIN)/python || { echo "setup: creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "setup: installing what the stack needs (a minute or two, once)"
	@$(INSTALL) -e '.[local]'
	@touch $@

$(DEV): $(LOCAL)
	@echo "setup: installing the developers' tools (a minute, once)"
	@$(INSTALL) -e '.[local,dev]'
	@touch $@

run: $(LOCAL) ## start the stack and stay in front; Ctrl-C stops it
	@$(BIN)/python -m deploy.local run

up: $(LOCAL) ## start the stack in the background; returns when it is ready
	@$(BIN)/python -m deploy.local up

down: $(LOCAL) ## stop the stack
	@$(BIN)/python -m deploy.local down

status: $(LOCAL) ## show the stack's processes
	@$(BIN)/python -m deploy.local status

compile: $(DEV) ## compile the hot path to machine code, which takes two minutes: less CPU for an event
	@$(BIN)/python -m deploy.compile

test: $(DEV) ## run the tests on a real Kafka and a real ClickHouse, long ones in their short form
	@$(BIN)/python -m tests.support.tiers

test-full: $(DEV) ## run every test in its full form: more kills, seeds, widths and rows; an hour
	@$(BIN)/python -m tests.support.tiers --full

faults: $(DEV) ## kill processes under load, in the full form
	@$(BIN)/python -m pytest --full tests/faults

sdks: $(DEV) ## try every vendor's SDK that is listed, unmodified; needs their toolchains and Chromium
	@$(BIN)/python -m pytest --all-sdks tests/sdks

check: $(DEV) ## lint, format, types, and the rules of the tree
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@CI= HEADWATER_REQUIRE_TIERS= $(BIN)/python -m pytest -q tests/unit/test_tree.py

fuzz: $(DEV) ## ten minutes of generated requests at a stack of their own; FUZZ_SECONDS and FUZZ_SEED change them
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-600} FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)} \
		$(BIN)/python -m pytest -q -s --timeout=1200 tests/e2e/test_described_api.py

bench: $(DEV) ## measure speed, latency and memory; writes bench.json
	-@$(BIN)/python -m deploy.compile
	@$(BIN)/python -m tests.bench

bench-compare: $(DEV) ## measure the CPU of an event and a contact in each process; fails above 1.15 times what was accepted
	-@$(BIN)/python -m deploy.compile
	@$(BIN)/python -m tests.bench.cost --quick

clean: ## stop the stack and remove its data and the environment
	@test ! -e $(LOCAL) || $(BIN)/python -m deploy.local down
	rm -rf $${HEADWATER_HOME:-.headwater} $(VENV) .compiled
