# What can be made of this checkout: `make help`. Everything below runs as any user and stays in this folder.

PYTHON ?= python3
PYTEST_ARGS ?= -n auto

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-in
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet -c etc/constraints.txt

.PHONY: all help venv test lint demo demo-stop bench clean
all: help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  PYTHON=python3.12 names another interpreter, PYTEST_ARGS="-k listing" other tests.'

venv: $(STAMP) ## the package, editable, and its tools in .venv

# A venv holds absolute paths: a checkout that was moved or copied makes its own.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

$(STAMP): setup.py pyproject.toml etc/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("dvbboxes needs Python 3.11 or newer: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	@[ "$$(cat $@ 2>/dev/null)" = "$(CURDIR)" ] || rm -rf $(VENV)
	@echo 'setting up $(VENV) ...'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation -e '.[test]'
	@echo '$(CURDIR)' > $@

test: $(STAMP) ## set up and run the tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(STAMP) ## ruff, its formatter, mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: $(STAMP) ## start a small fleet of real servers and show the main commands on it
	@sh etc/demo.sh start

demo-stop: ## end that fleet
	@sh etc/demo.sh stop

bench: $(STAMP) ## measure against the naive client and the wire (64 servers)
	$(BIN)/python -m tests.bench

clean: demo-stop ## remove all that was made here; ends the demo
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find dvbboxes tests -name __pycache__ -prune -exec rm -rf {} +
