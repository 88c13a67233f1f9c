# make demo       set up what the demo needs, then run the main job on the embedded S3 store
# make test       set up everything, then run the tests and print what they covered
# make test-fast  the tests of a few seconds each, in under two minutes
# make test-wheel the built wheel in empty environments, on each Python that is to be had
# make dev        the Dagster UI on http://127.0.0.1:3000
# make docs       the documentation as pages in build/docs; a broken link fails
# make lint       format, lint, types and import contract
# make bench      every measured claim, as ratios against named peers
# make release-check  what must be true before a version is tagged

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

DEMO_READY := $(VENV)/.ready-for-demo
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: setup demo test test-fast test-wheel test-duckdb-1 dev docs lint bench format lock release-check clean
.DEFAULT_GOAL := setup

setup: $(READY)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "Python 3.10 or later is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); } \
	  || { echo "Python cannot make virtual environments here; install them first: sudo apt-get install python3-venv"; exit 1; }

# Everything: what the package needs, and the tools of tests, lint, documentation and benchmarks.
$(READY): requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@ $(DEMO_READY)

# Only what the demo needs: the lock's versions of what `flatfiles-assets[demo]` requires, and the build
# tools of an editable install.
$(DEMO_READY): requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) -c requirements.lock hatchling editables
	$(PIP) -c requirements.lock --no-build-isolation -e '.[demo]'
	@touch $@

demo: $(DEMO_READY)
	$(BIN)/flatfiles demo

dev: $(DEMO_READY)
	$(BIN)/flatfiles dev

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile -q --cov

test-fast: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile -q -m "not slow and not integration and not whole_platform"

test-wheel: $(READY)
	$(BIN)/python -m flatfiles_assets_tests.packaging.from_wheel

# The warehouse's tests on the other DuckDB that is supported.
test-duckdb-1: $(READY)
	$(BIN)/python -m flatfiles_assets_tests.warehouse.run_on_duckdb_1

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build --strict --quiet

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	$(BIN)/python -m flatfiles_assets_tests.benchmarks

release-check: $(READY)
	$(BIN)/python -m flatfiles_assets_tests.packaging.release_check
	$(MAKE) lint test test-duckdb-1 docs test-wheel

# The lock covers every supported Python; run it with uv installed after editing pyproject.toml.
lock:
	uv pip compile --universal --python-version 3.10 --no-header --no-annotate \
	  --all-extras --group dev --group docs --group bench pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV)
