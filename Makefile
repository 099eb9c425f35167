# `make demo` and `make test` are the two commands a newcomer needs; each sets up what it uses.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Node comes from the lock too, so that a machine without it builds and checks the snippet with the same version.
NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm
UV_COMPILE = $(BIN)/uv pip compile pyproject.toml --extra postgres --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet

.PHONY: help demo setup dev test check e2e browser postgres sequences js lock docs version walk bench screenshots soak fuzz clean

help:  ## what can be made
	@sed -nE 's/^([a-z0-9]+):.*  ## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10

demo: setup  ## shop + relay + Meta twin on loopback, until Ctrl-C
	$(BIN)/counterfoil sandbox

setup: $(VENV)/.run-ready  ## .venv with the command `counterfoil`

# Debian splits ensurepip from Python; its pip can put a pip into the new environment all the same.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Counterfoil needs Python 3.11 or newer; found: $$($(PYTHON) --version). Next step: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null && $(PYTHON) -m venv $(VENV) || \
	  { $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --quiet --python $(BIN)/python install pip; } || \
	  { rm -rf $(VENV); exit 1; }

$(VENV)/.run-ready: requirements/run.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

dev: $(VENV)/.dev-ready  ## setup, and what the tests need

$(VENV)/.dev-ready: requirements/dev.txt $(VENV)/.run-ready
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

node_modules/.package-lock.json: package-lock.json $(VENV)/.dev-ready
	$(NPM) ci --no-audit --no-fund --loglevel=error
	@touch $@

browser: dev  ## find a Chromium and what the network tests run, or install them
	$(BIN)/python -m e2e.browser

check: dev postgres node_modules/.package-lock.json  ## the fast part: lint, types, floors, unit tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(NPM) run --silent check
	$(BIN)/pytest tests -n 2 -m "not install"

postgres: dev  ## find a PostgreSQL for the tests, or install one
	$(BIN)/python -m e2e.postgres

test: check browser  ## everything: check, clean installs, real browsers
	$(BIN)/pytest tests -n 2 --dist loadfile -m install
	$(BIN)/pytest e2e -n 2

sequences: dev postgres  ## two thousand random sequences of what may happen, on each store beside one model
	COUNTERFOIL_SEQUENCES=2000 $(BIN)/pytest tests/store/sqlite/test_sequences.py tests/store/postgres/test_sequences.py -n 2 --timeout 7200

e2e: browser node_modules/.package-lock.json  ## only the tests in real browsers
	$(BIN)/pytest e2e -n 2

js: node_modules/.package-lock.json  ## build the snippet and print its sizes
	$(NPM) run --silent build

lock: dev  ## renew requirements/*.txt from pyproject.toml
	$(UV_COMPILE) --upgrade -o requirements/core.txt
	$(UV_COMPILE) --extra browser --group build -c requirements/core.txt -o requirements/run.txt
	$(UV_COMPILE) --extra browser --extra otel --group dev -c requirements/run.txt -o requirements/dev.txt
	$(UV_COMPILE) --extra browser --extra otel --group dev --group fuzz -c requirements/dev.txt -o requirements/fuzz.txt

# The one place is relay/__init__.py; a test of each package holds the others to it.
version:  ## write the relay's version into the packages beside it
	@version=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' relay/__init__.py); \
	  sed -i "s/^  \"version\": \".*\"/  \"version\": \"$$version\"/" static/js/npm/package.json; \
	  sed -i "s/^version = \".*\"/version = \"$$version\"/" integrations/python/pyproject.toml; \
	  sed -i "s/^ \* Version: .*/ * Version: $$version/" integrations/wordpress/counterfoil/counterfoil.php

walk: browser  ## a newcomer's first minutes, counted, into docs/walk.md
	$(BIN)/python -m e2e.walk --write

docs: dev  ## the documentation as a site, in site/; a link that leads nowhere fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: dev  ## the measured claims, as ratios in one run
	$(BIN)/python -m bench

screenshots: browser  ## the pictures of the documentation
	$(BIN)/python -m e2e.screenshots

soak: dev  ## each fault, a million queued events, ten minutes of load with faults, 200 kills: nothing lost
	$(BIN)/python -m bench.faults
	$(BIN)/python -m bench.backlog
	$(BIN)/python -m bench.soak
	$(BIN)/python -m bench.soak --kills 200

$(VENV)/.fuzz-ready: requirements/fuzz.txt $(VENV)/.dev-ready
	$(PIP) install --require-hashes -r requirements/fuzz.txt
	@touch $@

fuzz: $(VENV)/.fuzz-ready  ## over a million made-up inputs to every parser and every route: no crash, no 5xx
	$(BIN)/python -m bench.fuzz

clean:  ## remove what make has made
	rm -rf $(VENV) node_modules dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis counterfoil-data test-output site
