# `make demo` and `make test` are the two commands a newcomer needs; each sets up what it uses.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
UV_COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet

.PHONY: demo setup dev test check e2e browser lock js bench soak fuzz screenshots clean

demo: setup  ## set up, then run shop + relay + Meta twin on loopback until Ctrl-C
	$(BIN)/counterfoil sandbox

setup: $(VENV)/.run-ready

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Counterfoil needs Python 3.11 or newer; found: $$($(PYTHON) --version). Next step: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-ready: requirements/run.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

dev: $(VENV)/.dev-ready

$(VENV)/.dev-ready: requirements/dev.txt $(VENV)/.run-ready
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

browser: dev  ## find a Chromium, or install one
	$(BIN)/python -m e2e.browser

node_modules/.package-lock.json: package-lock.json
	npm ci --no-audit --no-fund --loglevel=error

check: dev node_modules/.package-lock.json  ## the fast part: lint, types, floors, unit tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	npm run --silent check
	$(BIN)/pytest tests -n 2

test: check browser  ## everything, browsers included
	$(BIN)/pytest e2e -n 2

js: node_modules/.package-lock.json  ## build the snippet and print its sizes
	npm run --silent build

lock: dev  ## renew requirements/*.txt from pyproject.toml
	$(UV_COMPILE) --upgrade -o requirements/core.txt
	$(UV_COMPILE) --extra browser --group build -c requirements/core.txt -o requirements/run.txt
	$(UV_COMPILE) --extra browser --group dev -c requirements/run.txt -o requirements/dev.txt

bench: dev  ## the measured claims, as ratios in one run
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) node_modules dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis counterfoil-data test-output
