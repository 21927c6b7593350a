# Everything a developer runs; `make help` lists it. Each target sets up what it needs by itself: a virtual
# environment in .venv, the versions locked in requirements/, and this project as an editable install.
# A stamp file per lock remembers what is installed, so only the first run, or a changed lock, takes time.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
# Arguments for what runs: make run ARGS="--help", make test ARGS="-k units".
ARGS ?=
# Test processes side by side.
JOBS ?= 2

BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Hashes are checked, and no build fetches tools of its own: they come from requirements/build.txt.
INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --no-build-isolation

.PHONY: help run test test-slow bench lint format lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

run: $(VENV)/.run-stamp $(VENV)/.project-stamp ## a trading session on a paper venue, and what it saved (ARGS="…")
	$(BIN)/python cli.py run $(ARGS)

test: lint ## what a change must pass: lint and types, then the tests (ARGS="…")
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

test-slow: $(VENV)/.test-stamp $(VENV)/.project-stamp ## the tests that take minutes (ARGS="…")
	$(BIN)/python -m pytest -n $(JOBS) -m slow $(ARGS)

bench: $(VENV)/.bench-stamp $(VENV)/.project-stamp ## every benchmark in bench/, all of them even if one fails
	@failed=''; \
	for script in bench/[!_]*.py; do \
		printf '\n== %s\n' "$$script"; \
		$(BIN)/python "$$script" $(ARGS) || failed="$$failed $$script"; \
	done; \
	if [ -n "$$failed" ]; then printf '\nfailed:%s\n' "$$failed" >&2; exit 1; fi

lint: $(VENV)/.test-stamp $(VENV)/.project-stamp ## ruff and mypy --strict
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

format: $(VENV)/.test-stamp ## let ruff lay out the code and mend what it can
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

clean: ## remove the virtual environment, caches and build products
	rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- locks ---------------------------------------------------------------------------------------------------------
# Versions stay as they are unless asked: make lock UPGRADE=--upgrade, or UPGRADE="-P rich". Each lock builds on the one
# before, so that all of them fit into one environment. The machine's own pip settings are kept out: a lock holds the
# hashes of what is published, and no address.
UPGRADE ?=
COMPILE = env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND='make lock' \
	$(BIN)/python -m piptools compile --quiet --no-config --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options $(UPGRADE)

lock: $(VENV)/.test-stamp ## write requirements/*.txt anew from pyproject.toml and requirements/*.in
	$(COMPILE) --output-file requirements/build.txt requirements/build.in
	$(COMPILE) --output-file requirements/run.txt --extra replay --extra prove --extra live --extra web pyproject.toml
	$(COMPILE) --output-file requirements/dev.txt requirements/dev.in
	$(COMPILE) --output-file requirements/bench.txt requirements/bench.in

# --- installing ----------------------------------------------------------------------------------------------------
$(VENV)/.run-stamp: requirements/run.txt $(VENV)/.build-stamp
	$(INSTALL) -r requirements/run.txt
	@touch $@

$(VENV)/.test-stamp: requirements/dev.txt $(VENV)/.browser-stamp
	$(INSTALL) -r requirements/dev.txt
	@touch $@

$(VENV)/.bench-stamp: requirements/bench.txt $(VENV)/.browser-stamp
	$(INSTALL) -r requirements/bench.txt
	@touch $@

$(VENV)/.project-stamp: pyproject.toml $(VENV)/.build-stamp
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --no-index --editable .
	@touch $@

$(VENV)/.browser-stamp: $(VENV)/.build-stamp
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "missing: chromium; installing it"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -qq -y --no-install-recommends $(DEBIAN_BROWSER) \
			|| echo "no browser: the pages are neither tested nor measured" >&2; \
	fi
	@touch $@

$(VENV)/.build-stamp: requirements/build.txt
	@lacking=$$($(lacking)); \
	if [ -n "$$lacking" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "missing: $$lacking; installing $(DEBIAN)"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq; \
		apt-get install -qq -y --no-install-recommends $(DEBIAN); \
		lacking=$$($(lacking)); \
	fi; \
	if [ -n "$$lacking" ]; then \
		printf '%s\n' "missing on this machine: $$lacking" \
			"  on Debian: apt-get install $(DEBIAN)" \
			"  elsewhere: Python 3.11 or later with venv and headers, and a C compiler; name it with make PYTHON=…" >&2; \
		exit 1; \
	fi
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -r requirements/build.txt
	@touch $@

# What tests and the benchmark of the pages drive; without it they are skipped.
DEBIAN_BROWSER := chromium
# What no lock can bring: Python with venv, and the compiler and headers that durable-rules is built with.
DEBIAN := python3 python3-venv python3-dev gcc libc6-dev
define LACKING
import importlib.util, os, pathlib, shutil, sys, sysconfig
compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
present = {
    "Python 3.11 or later": sys.version_info >= (3, 11),
    "python venv": importlib.util.find_spec("venv") and getattr(importlib.util.find_spec("ensurepip"), "origin", None),
    "Python.h": pathlib.Path(sysconfig.get_path("include"), "Python.h").exists(),
    f"the C compiler {compiler}": shutil.which(compiler),
}
print(", ".join(name for name, there in present.items() if not there))
endef
export LACKING
lacking = if command -v $(PYTHON) >/dev/null; then $(PYTHON) -c "$$LACKING"; else echo $(PYTHON); fi
