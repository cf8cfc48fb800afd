# One verb per need; `make help` lists them. Nothing is installed outside of .venv, nothing is kept outside of .imago.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOSTED_CLI := $(BIN)/imago
SIZE ?= full
# A file stays with one process, since its tests share what it builds.
PARALLEL := -n auto --dist loadfile
BENCHMARKS ?= features publish scoring training monitoring

# Byte code is worth its disk: without it every process compiles every import anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install spark demo up down status doctor test unit proof-gates proof-fight proof-scoring proof-monitoring proof-strangers bench lint lock clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Install the locked dependencies into .venv

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Imago needs Python 3.11 to 3.13 and found {v[0]}.{v[1]}: name one with make PYTHON=python3.12")'
	@echo "Installing the locked dependencies into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

spark: install ## Add PySpark for engine="spark" (450 MB, so it is not among the locked dependencies; needs Java 17)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation -e ".[spark]"

demo: install ## The main job: the whole lifecycle on real flights, through Airflow
	@$(HOSTED_CLI) demo

up: install ## Start the embedded stack
	@$(HOSTED_CLI) up

down: ## End exactly what was started
	@if [ -x $(HOSTED_CLI) ]; then $(HOSTED_CLI) down; else echo "Nothing is installed, so nothing runs."; fi

status: install ## Show what runs, where, and the login
	@$(HOSTED_CLI) status

doctor: install ## Check settings, connections and versions, and say how to mend each
	@$(HOSTED_CLI) doctor

test: install ## All tests: units and dbt on every core, then DAGs, whole worlds and the real stack
	@$(BIN)/python -m pytest $(PARALLEL) tests/unit tests/dbt
	@$(BIN)/python -m pytest tests/dags tests/worlds tests/stack

unit: install ## The tests that need no Airflow
	@$(BIN)/python -m pytest $(PARALLEL) tests/unit

proof-gates: install ## Prove the gates: bad data, sabotages and kills are stopped, a year of good data is not (SIZE=small|full)
	@$(BIN)/python -m proofs.gates --size $(SIZE)

proof-fight: install ## Prove the fair fight: neither luck, a leak, a hostile file nor a race makes a champion (SIZE=small|full)
	@$(BIN)/python -m proofs.fight --size $(SIZE)

proof-scoring: install ## Prove the scoring: exactly once, as it was, explained, never from damaged files (SIZE=small|full)
	@$(BIN)/python -m proofs.scoring --size $(SIZE)

proof-monitoring: install ## Prove monitoring: quiet when all is well, right when it is not, and no alert is lost (SIZE=small|full)
	@$(BIN)/python -m proofs.monitoring --size $(SIZE)

proof-strangers: install ## Prove that other people's models, keys, calendars, texts and paths work or are refused (SIZE=small|full)
	@$(BIN)/python -m proofs.strangers --size $(SIZE)

bench: install ## Measure beside what one would run instead: each script of benchmarks/ prints its table
	@for script in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$script || exit 1; done

lint: install ## Style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: install ## Resolve the dependencies anew (hashed, for every platform)
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" --extra dev --extra athena --extra redshift --extra aws pyproject.toml -o requirements.lock

clean: down ## End the stack and forget its state and the virtual environment
	@rm -rf .imago $(VENV)
