# Thundercast. `make run` and `make test` are all that a newcomer needs; `make help` lists the rest.

PYTHON ?= $(shell scripts/find-python)
VENV   := .venv
BIN    := $(VENV)/bin
DISTRIBUTIONS := core dataflow images/cleaner images/dashboard images/launcher images/simulator images/standalone images/trainer
# One CPU level everywhere, so that compiled kernels give the same bits on every machine that has it.
export NUMBA_CPU_NAME ?= $(shell scripts/cpu-level)

.PHONY: help setup emulators run local test e2e bench lint lock values dashboards golden cost queueing sample images test-images image-tables catalogues screenshots clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(VENV)/.ready ## make .venv with all that a developer needs

$(VENV)/.ready: requirements/build.txt requirements/dev.txt $(addsuffix /pyproject.toml,$(DISTRIBUTIONS))
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found. Install one, or name it: make setup PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ,$(DISTRIBUTIONS))
	@touch $@

emulators: setup ## stand-ins for Pub/Sub, BigQuery and Cloud Storage; says what cannot be had
	@$(BIN)/python scripts/emulators.py install

run: setup ## replay real data and serve the dashboard; Ctrl-C stops, the next start goes on
	@$(BIN)/thundercast run --open

test: lint emulators ## run everything that can run on this machine; the summary says why the rest was skipped
	@$(BIN)/pytest tests/unit tests/charts tests/integration tests/e2e --ignore=tests/e2e/cluster --durations=10

e2e: setup ## the built images, and the charts on a real cluster: that of KUBECONFIG, or one that THUNDERCAST_CLUSTER makes
	@scripts/e2e

local: emulators ## all parts as processes of their own, against stand-ins for Google's services; Ctrl-C stops
	@$(BIN)/python scripts/local.py $(ARGS)

bench: emulators ## rows per second of every part, one process and distributed, and the ratios to the seed's loop
	@$(BIN)/python tests/benchmarks/bench.py --cache $(or $(CACHE),.thundercast/cache)
	@$(BIN)/python tests/benchmarks/distributed.py --cache $(or $(CACHE),.thundercast/cache)
	@$(BIN)/python tests/benchmarks/serving.py

lint: setup ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

lock: setup ## write requirements/*.txt anew, with hashes
	@compile() { $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$$@"; }; \
	compile --upgrade requirements/dev.in -o requirements/dev.txt; \
	compile --upgrade requirements/emulators.in -o requirements/emulators.txt; \
	for name in build cleaner common dashboard dataflow launcher simulator standalone trainer; do \
	  compile --upgrade -c requirements/dev.txt requirements/$$name.in -o requirements/$$name.txt; done

values: setup ## write the charts' schemas, values.yaml and docs/values.md from their types
	@cd scripts && ../$(BIN)/python -m chart_values

dashboards: setup ## write Grafana's dashboards into the chart
	@cd scripts && ../$(BIN)/python -m grafana

golden: setup ## write the kept renders of the charts anew; read the difference before it is committed (needs Helm)
	@cd tests && PYTHONPATH=.:../scripts ../$(BIN)/python -m charts.golden

cost: setup ## reckon what a month costs and write it into docs/cost.md
	@cd scripts && ../$(BIN)/python -m cost && ../$(BIN)/python -m cost --write

queueing: setup ## simulate the queues (about half a minute) and write what comes out, with its pictures, into docs/scaling.md
	@cd scripts && ../$(BIN)/python -m queueing && ../$(BIN)/python -m queueing --write

images: ## build the images with docker or buildah and print their sizes; some: make images NAMES="trainer cleaner"
	@scripts/build-images $(NAMES)

test-images: emulators ## run the built images as a cluster would (needs buildah and root)
	@$(BIN)/pytest tests/images

image-tables: emulators ## measure the built images again, and write the tables of docs/images.md
	@cd tests && PYTHONPATH=.:../scripts ../$(BIN)/python -m images.tables --write

catalogues: setup ## compile the texts of the dashboard after a change
	@$(BIN)/python images/dashboard/hatch_build.py

screenshots: setup ## make the pictures in docs/images anew
	@$(BIN)/python scripts/screenshots.py

clean: ## remove the environment, caches and the state of `make run`
	@rm -rf $(VENV) .emulators .thundercast .pytest_cache .mypy_cache .ruff_cache .hypothesis
