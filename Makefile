# Needs python3 >= 3.11 with venv and pip, nothing else. `make` alone lists the targets.
PYTHON ?= python3
NAMED_BY := $(origin PYTHON)
KILLS ?= 100
FRAMES ?= 1000000
FUZZ_S ?= 3600
SOAK_S ?= 600
SOAK_CPS ?= 2000
FLEET_S ?= 600
NEMESIS_S ?= 600
NEMESIS_CPS ?= 1000
SEED ?= 0
TESTS ?= tests/unit tests/wire tests/store

# A pyenv shim runs only the version that is switched on, so its others are found by their path.
override PYTHON := $(or $(shell $(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null),\
	$(lastword $(sort $(wildcard $(HOME)/.pyenv/versions/*/bin/$(PYTHON)))),$(PYTHON))
# A Python that is named gets its own virtual environment where .venv has another version.
version_of = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
PRESENT := $(call version_of,.venv/bin/python)
NAMED := $(if $(filter file,$(NAMED_BY)),$(PRESENT),$(call version_of,$(PYTHON)))
VENV := $(if $(filter-out $(NAMED),$(PRESENT)),.venv-$(NAMED),.venv)
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Two workers a core, within reason: a test waits half of its time, for disks and clocks.
WORKERS := -n $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN)))) --maxprocesses 8

.DEFAULT_GOAL := help
.PHONY: help setup run test properties check docs reference bench e2e chaos chaos-cluster nemesis fuzz attack soak tour lock

help: ## list the targets
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(READY) ## prepare .venv, or .venv-3.13 with PYTHON=python3.13

run: setup ## run a central system with a small fleet that charges
	$(BIN)/wattspan demo

# pytest keeps the tests it compiled: to do so anew in each worker takes as long as 500 of the tests.
test: export PYTHONDONTWRITEBYTECODE :=
test: setup ## run the quick suite
	$(BIN)/pytest $(WORKERS) $(TESTS)

properties: setup ## run the tests of the quick suite that make up their own input, with all their examples
	$(BIN)/pytest $(WORKERS) -m hypothesis --hypothesis-profile all $(TESTS)

check: setup ## lint, format, types, the direction of imports, and what looks insecure
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/bandit -q -c pyproject.toml -r -ll -ii src

docs: setup ## build the documentation as a site into build/site; a dead link or an orphan page fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

reference: setup ## write what is generated anew: pages of docs/ (settings, command line, metrics, messages, HTTP API), type stubs
	$(BIN)/python -m wattspan.cli.settings_reference
	$(BIN)/python -m wattspan.cli.reference
	$(BIN)/python -m wattspan.telemetry.reference
	$(BIN)/python -m wattspan.chargy.reference
	$(BIN)/python -m wattspan.versions.reference
	$(BIN)/python -m wattspan.api.reference
	$(BIN)/python -m wattspan.csms.typed_calls
	$(BIN)/python -m wattspan.settings_keywords

bench: setup ## measure speed and memory (docs/benchmarks.md)
	PYTHONPATH=tests $(BIN)/python -m bench

e2e: setup ## run against real servers and chargers nobody here wrote; a fleet for FLEET_S seconds (600) over two weeks of history
	PYTHONPATH=tests $(BIN)/python -m stack.toolchain
	$(BIN)/pytest -m "not chaos" --timeout 600 --fleet-s $(FLEET_S) -n 2 --dist loadfile --no-loadscope-reorder \
		tests/stack

chaos: setup ## kill the server under load, KILLS times (100)
	$(BIN)/pytest -m chaos --timeout 3600 --kills $(KILLS) --ignore tests/stack/test_cluster.py tests/stack

chaos-cluster: setup ## kill nodes of a cluster under load, KILLS times (100)
	$(BIN)/pytest -m chaos --timeout 3600 --kills $(KILLS) tests/stack/test_cluster.py

nemesis: setup ## disturb three nodes, their database and Redis for NEMESIS_S seconds (600) under NEMESIS_CPS chargers (1000)
	$(BIN)/pytest --timeout $$(($(NEMESIS_S) + 900)) --nemesis-s $(NEMESIS_S) --nemesis-cps $(NEMESIS_CPS) \
		--nemesis-seed $(SEED) tests/stack/test_nemesis.py

fuzz: setup ## break FRAMES frames (a million), for FUZZ_S seconds at most, against the real session and service
	PYTHONPATH=tests $(BIN)/python -m fuzz --frames $(FRAMES) --seconds $(FUZZ_S)

attack: setup ## attack a server as one peer could, and measure what others notice (ATTACK=--short: for a minute)
	PYTHONPATH=tests $(BIN)/python -m attack $(ATTACK)

soak: setup ## let SOAK_CPS (2000) mixed charge points charge for SOAK_S seconds (600), and compare the books
	PYTHONPATH=tests $(BIN)/python -m soak --charge-points $(SOAK_CPS) --seconds $(SOAK_S)

tour: setup ## follow one session through the stack, and renew docs/tour.md (needs make e2e's servers, chromium, and Debian's prometheus installed for its page)
	PYTHONPATH=tests $(BIN)/python -m tour
	PYTHONPATH=tests $(BIN)/python -m tour.console_pictures

# Keeps what is pinned; delete requirements/*.txt first to move to the newest.
lock: ## pin pyproject.toml and requirements/dev.in with hashes (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: $(PYTHON) -m pip install uv"; exit 1; }
	uv pip compile $(LOCK) --extra server --extra cluster pyproject.toml -o requirements/run.txt
	uv pip compile $(LOCK) -c requirements/run.txt --extra server --extra cluster pyproject.toml requirements/dev.in -o requirements/dev.txt

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Wattspan needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Setting up $(VENV): the first time takes about a minute."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable ".[server,cluster]"
	@touch $@
