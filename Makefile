# Needs GNU make and Python 3.11 or later. `make` alone lists what there is.
#   VENV=DIRECTORY    the virtual environment                    (.venv)
#   PYTHON=PROGRAM    the interpreter to make it with            (the first of 3.11 or later)
#   CONSTRAINTS=FILE  the pins                                   (constraints.txt; /dev/null: the newest)
#   DEMO=DIRECTORY    where the demo's data and results go       (masksweep-demo)
#   JOBS=NUMBER       how many test files run at once            (3: many of them wait for processes to start and end)
#   PYTEST_ARGS=...   more arguments for pytest, as in make test PYTEST_ARGS="-x tests/unit"
VENV ?= .venv
PYTHON ?=
CONSTRAINTS ?= constraints.txt
DEMO ?= masksweep-demo
JOBS ?= 3
PYTEST_ARGS ?=
export VENV PYTHON CONSTRAINTS

PY = "$(VENV)/bin/python"
BIN = "$(VENV)/bin"

.PHONY: help setup demo test lint docs bench constraints clean distclean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | while IFS='	' read -r name words; do \
		printf '  make %-12s %s\n' "$$name" "$$words"; done

setup:  ## Make .venv and install everything (3 minutes, 7 GB); nothing to do if it is up to date
	@bash .ci/setup

demo: setup  ## A real sweep of a real Mask R-CNN on synthetic parts, on this machine's CPUs
	@test -f "$(DEMO)/spec.yaml" || $(BIN)/masksweep dataset synth "$(DEMO)"
	@$(BIN)/masksweep run "$(DEMO)/spec.yaml" --home "$(DEMO)/home"

lint: setup
	@echo "ruff";         $(PY) -m ruff check . && $(PY) -m ruff format --check --quiet .
	@echo "mypy";         $(PY) -m mypy
	@echo "lint-imports"; $(BIN)/lint-imports --no-logo
	@echo "deptry";       $(BIN)/deptry .
	@echo "hadolint";     $(BIN)/hadolint docker/*/Dockerfile
	@echo "compose";      $(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml

test: lint  ## The checks, then all the tests
	@$(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(PYTEST_ARGS)

docs: setup  ## Write docs/metrics.md from the table of metrics
	@$(PY) docs/metrics_page.py

bench: setup  ## Ratios against what one would write without masksweep
	@$(PY) -m pytest tests/benchmarks -o python_files='bench_*.py' -o timeout=3600 -s $(PYTEST_ARGS)

constraints: setup  ## Pin what is installed, tested by you; first: make setup VENV=new CONSTRAINTS=/dev/null
	@{ grep '^#' constraints.txt; $(PY) -m pip freeze --all --exclude-editable \
		| grep -vE '^(cuda-|nvidia-|triton=|detectron2 |pip=|wheel=)'; } >constraints.new
	@mv constraints.new constraints.txt

clean:  ## Remove what the checks, the tests and the demo made
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache "$(DEMO)"
	@find search_spaces sweeps runners tests docker -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## And the virtual environment
	@rm -rf "$(VENV)" ./*.egg-info
