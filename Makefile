# Thundercast. `make run` and `make test` are all that a newcomer needs; `make help` lists the rest.

PYTHON ?= $(shell scripts/find-python)
VENV   := .venv
BIN    := $(VENV)/bin
# One CPU level everywhere, so that compiled kernels give the same bits on every machine that has it.
export NUMBA_CPU_NAME ?= $(shell scripts/cpu-level)

.PHONY: help setup run test bench lint lock sample screenshots clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(VENV)/.ready ## make .venv with all that a developer needs

$(VENV)/.ready: requirements/build.txt requirements/dev.txt core/pyproject.toml images/standalone/pyproject.toml images/dashboard/pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found. Install one, or name it: make setup PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e core -e images/dashboard -e images/standalone
	@touch $@

run: setup ## replay real data and serve the dashboard; Ctrl-C stops, the next start goes on
	@$(BIN)/thundercast run --open

test: lint ## run everything that can run on this machine; the summary says why the rest was skipped
	@$(BIN)/pytest tests/unit tests/integration tests/e2e --durations=10

bench: setup ## rows per second of every part, and the ratios to the seed's loop, from one run
	@$(BIN)/python tests/benchmarks/bench.py

lint: setup ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

lock: setup ## write requirements/*.txt anew, with hashes
	@for name in build standalone dashboard dev; do \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    requirements/$$name.in -o requirements/$$name.txt; done

screenshots: setup ## make the pictures in docs/images anew
	@$(BIN)/python scripts/screenshots.py

clean: ## remove the environment, caches and the state of `make run`
	@rm -rf $(VENV) .thundercast .pytest_cache .mypy_cache .ruff_cache .hypothesis
