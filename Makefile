# Two commands for a newcomer: `make demo` and `make test`. Both set up `.venv` from the committed lock files first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-config --require-hashes --only-binary :all:
# A virtual display for the napari tests where there is one; they skip with a reason where there is none.
XVFB := $(shell command -v xvfb-run >/dev/null 2>&1 && echo "xvfb-run -a")
RECORDING ?=
OUTPUT ?=

.PHONY: help demo test test-pythons coverage bench accuracy torture memory lint types layers docs lock audit bom hooks clean clean-cache wheel-check notebooks

help:
	@echo "make demo [RECORDING=file.tif] [OUTPUT=dir]   set up and run the main job"
	@echo "make test                                     set up and run every test and doctest"
	@echo "make test-pythons | coverage                  the same on each installed Python; with coverage"
	@echo "make bench | accuracy | docs                  benchmarks, detection accuracy, documentation"
	@echo "make torture | memory                         kills, faults and damaged files; peak memory of each command"
	@echo "make wheel-check | notebooks                   the wheel in empty environments; run and store the notebooks"
	@echo "make lint types layers | hooks | audit        static checks; before each commit; known vulnerabilities"
	@echo "make bom                                      bill of materials (CycloneDX) of the locked packages"
	@echo "make lock                                     resolve the lock files again"

$(BIN)/uv: requirements/uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "astrocast needs Python >= 3.11, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/uv.lock
	@touch $@

$(VENV)/.core: requirements/core.lock pyproject.toml | $(BIN)/uv
	@echo "setting up .venv ..."
	@$(UV) -r requirements/core.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-config --no-deps --no-build-isolation --offline -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.core
	@echo "setting up the tools and extras for development ..."
	@$(UV) -r requirements/dev.lock
	@touch $@

demo: $(VENV)/.core
	@$(BIN)/astrocast demo $(if $(RECORDING),"$(RECORDING)") $(if $(OUTPUT),--output "$(OUTPUT)")

test: $(VENV)/.dev
	@$(XVFB) $(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

test-pythons:
	@for version in 3.11 3.12 3.13; do \
		if python$$version -c '' 2>/dev/null; then \
			echo "Python $$version"; $(MAKE) test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
		else echo "Python $$version is not installed: left out"; fi; \
	done

coverage: $(VENV)/.dev
	@$(XVFB) $(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

accuracy: $(VENV)/.dev
	@$(BIN)/python -m astrocast.simulation.benchmark $(ACCURACY_ARGS)
	@$(BIN)/python -m astrocast.study.accuracy $(STUDY_ACCURACY_ARGS)

torture: $(VENV)/.dev
	@cd tests && ../$(BIN)/python -m torture $(TORTURE_ARGS)

memory: $(VENV)/.dev
	@cd tests && ../$(BIN)/python -m torture.memory $(MEMORY_ARGS)

lint: $(VENV)/.dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev
	@$(BIN)/mypy

layers: $(VENV)/.dev
	@$(BIN)/lint-imports --no-cache

wheel-check: $(VENV)/.dev
	@$(BIN)/python packaging/check_wheel.py $(PYTHONS)

notebooks: $(VENV)/.dev
	@$(BIN)/python docs/notebooks/execute.py

docs: $(VENV)/.dev
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

LOCK := uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url
lock: | $(BIN)/uv
	@$(BIN)/$(LOCK) --all-extras --group dev --group docs --group bench --group build --group uv -o requirements/dev.lock
	@$(BIN)/$(LOCK) --group build -c requirements/dev.lock -o requirements/core.lock
	@$(BIN)/uv pip compile -q --group uv --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url -c requirements/dev.lock -o requirements/uv.lock

audit: $(VENV)/.dev
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements/dev.lock

bom: $(VENV)/.core
	@$(BIN)/python packaging/write_bom.py -o bom.json

hooks: $(VENV)/.dev
	@$(BIN)/pre-commit install

clean-cache:
	@find src -name '*.nb[ic]' -delete

clean: clean-cache
	@rm -rf $(VENV) .venv-3.* .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache site
