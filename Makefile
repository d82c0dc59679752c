# Every target works on a machine with only Python >= 3.11, pip, make and git: the first one that needs it puts
# uv into .tools/ and everything uv.lock names into .venv/. Nothing is installed outside this folder.

PYTHON ?= python3
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The bootstrap uses the very uv that the lock file names.
UV_VERSION := $(shell sed -n '/^name = "uv"$$/{n;s/^version = "\(.*\)"$$/\1/p;}' uv.lock)
PYTHON_PATH = "$$($(PYTHON) -c 'import sys; print(sys.executable)')"
UV := .tools/bin/uv
VENV := .venv
PY := $(VENV)/bin/python
MEMBERS := serde core checkpoint_sqlite store_memory postgres checkpoint_postgres store_postgres
MANIFESTS := pyproject.toml uv.lock $(addsuffix /pyproject.toml,$(MEMBERS))
CODE := $(MEMBERS) tests $(wildcard examples benchmarks)

unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(VENV)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: $(VENV)/.stamp ## the refund desk: killed in the middle, resumed, approved, forked
	@$(PY) -m examples.refund_desk

.PHONY: test
test: $(VENV)/.stamp ## every test (ARGS="-k name" to choose)
	@$(PY) -m pytest $(ARGS)

.PHONY: quick
quick: $(VENV)/.stamp ## the tests without those marked slow
	@$(PY) -m pytest -m "not slow" $(ARGS)

.PHONY: check
check: $(VENV)/.stamp ## format, lint, types, import contracts, size rules
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy $(CODE)
	@$(VENV)/bin/lint-imports --no-cache
	@$(PY) -m pytest tests/architecture

.PHONY: format
format: $(VENV)/.stamp ## rewrite the code as `make check` wants it
	@$(VENV)/bin/ruff check --fix-only .
	@$(VENV)/bin/ruff format .

.PHONY: bench
bench: $(VENV)/.stamp $(VENV)-bench/.stamp ## the figures against the reference (ARGS="--quick")
	@$(PY) -m benchmarks --reference-python $(VENV)-bench/bin/python $(ARGS)

.PHONY: wheels
wheels: $(UV) ## build every distribution into dist/
	@rm -rf dist
	@$(UV) build --quiet --all-packages --wheel --python $(PYTHON_PATH) --out-dir dist
	@ls -1 dist/*.whl

.PHONY: lock
lock: $(UV) ## resolve uv.lock again (ARGS="--upgrade"), always against the public index
	@$(UV) lock --no-config --default-index https://pypi.org/simple --python $(PYTHON_PATH) $(ARGS)

.PHONY: clean
clean: ## remove everything the targets above made
	@rm -rf .venv .venv-bench .tools dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "threadkeep needs Python 3.11 or newer (make PYTHON=...)")'
	@rm -rf .tools
	@$(PYTHON) -m venv .tools 2>/dev/null || rm -rf .tools
# Some systems ship venv without ensurepip; pip alone is enough then.
	@if [ -x .tools/bin/python ]; then .tools/bin/python -m pip install --quiet uv==$(UV_VERSION); \
	else $(PYTHON) -m pip install --quiet --target .tools uv==$(UV_VERSION); fi

$(VENV)/.stamp: $(MANIFESTS) | $(UV)
	@$(UV) sync --quiet --frozen --all-packages --python $(PYTHON_PATH)
	@touch $@

$(VENV)-bench/.stamp: $(MANIFESTS) | $(UV)
	@UV_PROJECT_ENVIRONMENT=$(VENV)-bench $(UV) sync --quiet --frozen --only-group bench --python $(PYTHON_PATH)
	@touch $@
