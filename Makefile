# make demo   set up, then run the main job on the embedded S3 store
# make test   set up, then run the tests
# make dev    the Dagster UI on http://127.0.0.1:3000
# make lint   format, lint, types and import contract
# make bench  every measured claim, as ratios against named peers

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: setup demo test test-duckdb-1 dev lint bench format lock clean
.DEFAULT_GOAL := setup

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "Python 3.10 or later is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); } \
	  || { echo "Python cannot make virtual environments here; install them first: sudo apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)
	$(BIN)/flatfiles demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile -q

# The warehouse's tests on the other DuckDB that is supported.
test-duckdb-1: $(READY)
	$(BIN)/python -m flatfiles_assets_tests.warehouse.run_on_duckdb_1

dev: $(READY)
	$(BIN)/flatfiles dev

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

# The lock covers every supported Python; run it with uv installed after editing pyproject.toml.
lock:
	uv pip compile --universal --python-version 3.10 --no-header --no-annotate \
	  --all-extras --group dev --group bench pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV)
