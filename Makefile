# What can be made of this checkout: `make help`. All but (un)install, purge and test-system runs as any user, in this folder.

PYTHON ?= python3
PYTEST_ARGS ?= -n auto --maxprocesses 8 --dist worksteal
FAULT_TABLE ?= docs/faults.rst
KILL_POINTS ?= 200
FUZZ ?= 10000
CLOCKS ?=
SEED ?= 1

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-in
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet -c etc/constraints.txt

.PHONY: all help venv quick test test-slow test-clocks test-order test-kill test-faults test-fuzz lint demo demo-stop docs html bench clean
.PHONY: install uninstall purge deb dist test-system
all: build/made ## what sudo make install needs, in build/ (speaks to PyPI)

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

quick: $(STAMP) ## the pure tests: no server, no process (15 seconds)
	@$(BIN)/python -m pytest -q -m pure $(PYTEST_ARGS) $$(grep -l 'mark\.pure' tests/test_*.py)

test: $(STAMP) ## set up and run the tests, all but the slow ones (2 minutes)
	@$(BIN)/python -m pytest -m 'not slow' $(PYTEST_ARGS)

test-slow: $(STAMP) ## the slow ones: ssh, frozen masters, whole installations, secrets everywhere (4 minutes)
	@$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

test-clocks: $(STAMP) ## the suite under 14 other clocks, the whole of it at three (25 minutes; CLOCKS="2 3": only these)
	@$(BIN)/python -m tests.clocks $(CLOCKS)

test-order: $(STAMP) ## each test file alone, then all of them shuffled by SEED=1 (15 minutes)
	@mkdir -p build
	@for file in tests/test_*.py tests/*/test_*.py; do \
		status=0; $(BIN)/python -m pytest -q -m 'not slow' $(PYTEST_ARGS) $$file >build/alone.log 2>&1 || status=$$?; \
		case $$status in 0 | 5) ;; *) cat build/alone.log; echo "alone it fails: $$file" >&2; exit 1 ;; esac; \
	done; echo 'each test file passes alone' # 5: all its tests are slow ones
	@$(BIN)/python -m pytest -q -m 'not slow' $(PYTEST_ARGS) --shuffle $(SEED)

test-kill: $(STAMP) ## kill -9 at KILL_POINTS=200 points of an apply, masters at a quarter of that, 20 at once (4 minutes)
	@DVBBOXES_KILL_POINTS=$(KILL_POINTS) $(BIN)/python -m pytest -q tests/kill

test-faults: $(STAMP) ## 15 faults on 1, 3 and 40 of 40 real replicas, every reading command; the table (3 minutes)
	@DVBBOXES_FAULTS=all DVBBOXES_FAULT_TABLE=$(FAULT_TABLE) $(BIN)/python -m pytest -q tests/faults

test-fuzz: $(STAMP) ## FUZZ=10000 mutated configurations, listings and replies, 100 of each as processes (4 minutes)
	@DVBBOXES_FUZZ=$(FUZZ) DVBBOXES_FUZZ_PROCESSES=100 $(BIN)/python -m pytest -q tests/fuzz

lint: $(STAMP) ## ruff, its formatter, mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: $(STAMP) ## start a small fleet of real servers and show the main commands on it
	@$(BIN)/python etc/demo.py start

demo-stop: ## end that fleet
	@[ ! -x $(BIN)/dvbboxes ] || $(BIN)/python etc/demo.py stop

docs: $(STAMP) ## write docs/commands.rst from the help texts
	$(BIN)/python docs/reference.py > docs/commands.rst.new && mv docs/commands.rst.new docs/commands.rst

html: build/docs ## the documentation as pages, in build/html
	build/docs/bin/sphinx-build -q -W -n -b html docs build/html

build/docs: etc/docs.txt
	@rm -rf $@ && mkdir -p build && $(PYTHON) -m venv $@
	@$@/bin/python -m pip --disable-pip-version-check --no-input install --quiet -r etc/docs.txt && touch $@

bench: $(STAMP) ## measure against the naive client and the wire (64 servers)
	$(BIN)/python -m tests.bench

# --- on servers ---

build/made: $(shell find dvbboxes -name '*.py') setup.py pyproject.toml etc/constraints.txt etc/build.sh etc/manpage.py
	@sh etc/build.sh $(PYTHON)

# $(call installer,WORD): root runs what make built, from PyPI nothing, and writes nothing into this folder.
installer = @[ -x build/tool/bin/python ] || { echo 'make $1: run `make` first, as yourself and not as root' >&2; exit 1; }; \
	DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' build/tool/bin/python -I -B etc/install.py $1

install: ## root, after make: /usr/bin/dvbboxes and all that belongs to it (DESTDIR=, PREFIX=)
	$(call installer,install)

uninstall: ## root: remove it; configuration, data and log stay
	$(call installer,uninstall)

purge: ## root: remove it, with configuration, data and log
	$(call installer,purge)

deb: build/made ## a Debian package in dist/
	@build/tool/bin/python -I -B etc/deb.py

dist: $(STAMP) ## an sdist and a wheel in dist/, checked by twine
	@$(PIP) build twine
	@rm -rf dist/*.tar.gz dist/*.whl
	@$(BIN)/python -m build --quiet --outdir dist . && $(BIN)/twine check --strict dist/*.tar.gz dist/*.whl

test-system: ## root: all of this page in a fresh Debian 12
	@$(PYTHON) tests/system/run.py

clean: demo-stop ## remove all that was made here; ends the demo
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find dvbboxes tests -name __pycache__ -prune -exec rm -rf {} +
