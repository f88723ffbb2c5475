# Everything a person does with a checkout. `make help` lists it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

MIN_POPULATION ?= 15000
PG ?= 18
MINUTES ?= 10
SEED ?= 1
ARGS ?=
STOPS ?= 200
QUICK ?=
QUICK_RESULTS := --results build/bench-quick.json

# Where it is installed, or where CI says that it must be, lint uses it.
PLPGSQL_CHECK := /usr/share/postgresql/15/extension/plpgsql_check.control

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-retries test lint model mutants audit chaos soak dags format bench bench-held bench-scale bench-report lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## install everything into .venv (the others do it by themselves)

$(READY): requirements.lock requirements-build.lock pyproject.toml
	@$(PYTHON) bridge/local/prerequisites.py
	@echo "installing into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements-build.lock
	@$(PIP) --require-hashes --no-build-isolation -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## the main job end to end on real data: MIN_POPULATION=15000
	@$(BIN)/stagebus demo --min-population $(MIN_POPULATION)

demo-retries: $(READY) ## the same with failing tasks, killed workers and an operator who retries
	@$(BIN)/stagebus demo --min-population $(MIN_POPULATION) --retries

test: $(READY) ## the tests: PG=18 or 16, ARGS="-k name"
	@STAGEBUS_TEST_PG=$(PG) $(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

lint: $(READY) ## ruff, mypy, layers, style of sql/, squawk, plpgsql_check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tests.sql_style
	@$(BIN)/squawk --reporter Gcc migrations/*.sql
ifneq ($(CI)$(wildcard $(PLPGSQL_CHECK)),)
	@.ci/debian-postgres $(BIN)/python -m tests.plpgsql_check
else
	@echo "SKIPPED: plpgsql_check; it wants Debian's postgresql-15-plpgsql-check"
endif

model: $(READY) ## the protocol, every interleaving of it: wants Debian's spin and gcc
	@.ci/spin $(BIN)/python -m tests.model.check

mutants: $(READY) ## defects planted in sql/, each of which the tests must notice: ARGS="--only 'record-send-*'"
	@$(BIN)/python -m tests.mutants $(ARGS)

audit: $(READY) ## known holes in what is installed; asks an index on the internet
	@$(PYTHON) -m venv build/audit
	@build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	@build/audit/bin/pip-audit --strict --disable-pip --requirement requirements.lock

chaos: $(READY) ## ten minutes of faults of every kind, every task counted: MINUTES=10 SEED=1
	@$(BIN)/python -m tests.faults --minutes $(MINUTES) --seed $(SEED) $(ARGS)

soak: $(READY) ## any order, throttling, 200 stops: ARGS="--seconds 600 --seed 2" STOPS=50
	@$(BIN)/python -m tests.life $(ARGS)
	@$(BIN)/python -m tests.soak --stops $(STOPS)

dags: $(READY) ## jobs of random plans, advanced by hand, by a crowd, by killed bridges: ARGS="--seconds 600 --seed 2"
	@$(BIN)/python -m tests.plans.random_dags $(ARGS)

format: $(READY) ## let ruff put the Python in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(BENCH_READY) ## what is claimed about speed, measured: QUICK=1 ARGS="--only relay"
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(ARGS)

bench-held: $(READY) ## half an hour of publishing and completing, mostly while held: QUICK=1
	@$(BIN)/python -m benchmarks.held $(if $(QUICK),$(QUICK_RESULTS) --minutes 0.5 --bucket 5)

bench-scale: $(READY) ## what grows with tasks, batches, jobs and bridges, and how: QUICK=1 ARGS="--most 10000000"
	@$(BIN)/python -m benchmarks.scale $(if $(QUICK),$(QUICK_RESULTS) --most 10000) $(ARGS)

bench-report: $(READY) ## what was measured into the tables and plots of benchmarks/README.md
	@$(BIN)/python -m benchmarks.report

$(BENCH_READY): $(READY) requirements-bench.lock
	@$(PIP) --require-hashes --no-build-isolation -r requirements-bench.lock
	@touch $@

lock: $(READY) ## renew the locks: requirements.lock, -build.lock and -bench.lock
	@$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --strip-extras \
		--output-file requirements-build.lock requirements-build.in
	@$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --strip-extras --extra local --extra dev \
		--constraint requirements-build.lock --output-file requirements.lock pyproject.toml
	@$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --strip-extras --extra bench \
		--constraint requirements.lock --output-file requirements-bench.lock pyproject.toml

clean: ## remove what was built
	@rm -rf $(VENV) build dist
