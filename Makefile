# Each target sets up what it needs, in .venv. Nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=

.PHONY: demo test lint bench run clean docs lock

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(STAMP)  ## a cluster in one process, real scans, a summary; ONCE=1 ends when all reports are there
	$(BIN)/trivyop demo $(if $(ONCE),--once) $(ARGS)

run: $(STAMP)  ## the operator against the cluster of your kubeconfig
	$(BIN)/trivyop run $(ARGS)

# Bytecode is written even where the machine's default is not to: tests start many processes.
test: $(STAMP)
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m tests.bench $(ARGS)

docs: $(STAMP)  ## write the reference tables that are generated from the code
	$(BIN)/python -m tools.docs.reference

lock:  ## resolve the newest versions that pyproject.toml allows, with hashes
	$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --universal \
		--python-version 3.11 --extra sandbox --extra dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --universal \
		--python-version 3.11 --extra rematch --extra build --constraint requirements.lock pyproject.toml \
		-o requirements-image.lock

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info bench-results.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
