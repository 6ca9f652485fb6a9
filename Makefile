# Thin lines: what each target does is said in README.md; the work is in scripts.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: setup dev test check format demo bench crash fuzz conformance compiled-test ui-test clean

setup: $(STAMP)

$(STAMP): pyproject.toml build_descriptors.py
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

dev: setup
	$(BIN)/perdure server start-dev --port 7233 --db-filename perdure.db

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(wildcard build_descriptors.py perdure tests bench examples)
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m "not slow" -n 2

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: setup
	$(BIN)/python examples/demo.py

bench: setup
	$(BIN)/python bench/compare.py
	$(BIN)/python -m bench.batch
	$(BIN)/python -m bench.schedules
	$(BIN)/python bench/visibility.py --reference 1500

crash: setup
	$(BIN)/python tests/crash/run.py

fuzz: setup
	$(BIN)/python -m tests.differential.fuzz

conformance: setup
	$(BIN)/python tests/conformance/run.py

compiled-test: setup
	$(BIN)/python bench/compiled.py

ui-test: setup $(BIN)/temporal-ui-server
	UI_SHOTS=.ui-shots $(BIN)/python -m pytest -q tests/ui

$(BIN)/temporal-ui-server:
	GOBIN=$(CURDIR)/$(BIN)/go go install github.com/temporalio/ui-server/v2/cmd/server@v2.54.1
	mv $(BIN)/go/server $@

clean:
	rm -rf .venv .ui-shots build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
