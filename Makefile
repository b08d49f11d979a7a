# Thin calls of bootstrap.py and the fraudlab command. `make` alone prints the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Commands run in this folder, so a relative name will do. The shell reads it from the environment: make would expand a `$` in it,
# and no quotes around make's text hold every name.
ifeq ($(value FRAUDLAB_HOME),)
export FRAUDLAB_HOME := .fraudlab
endif
BIN = $$FRAUDLAB_HOME/venv/bin
BOOTSTRAP = $(if $(PYTHON),,$(error No Python was found. Next: install python3 (3.9 or newer), or name one: make PYTHON=<path> <target>))"$(PYTHON)" bootstrap.py
.DEFAULT_GOAL := help
.PHONY: help demo lab class up test test-all bench fuzz check docs setup bundle stop clean lock

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## set up what is missing, start everything and see fraud being caught
	@started=$$(date +%s) && $(BOOTSTRAP) && FRAUDLAB_STARTED_S=$$started "$(BIN)/fraudlab" demo

lab: ## set up what is missing and open the labs in JupyterLab
	@$(BOOTSTRAP) --dev
	@"$(BIN)/fraudlab" lab

class: ## set up what is missing and open a class: make class LEARNERS=30, or NAMES=class.txt
	@$(BOOTSTRAP) --dev
	@"$(BIN)/fraudlab" class up $${LEARNERS:+--learners "$$LEARNERS"} $${NAMES:+--names "$$NAMES"}

up: ## set up what is missing and start MySQL, Kafka and Flink
	@$(BOOTSTRAP)
	@"$(BIN)/fraudlab" up

test: ## set up what is missing, check the code, run the tests and the solutions
	@$(BOOTSTRAP) --dev --browser
	@"$(BIN)/python" -m tests.run

test-all: ## make test, then the slow tests and the clean rooms: what CI runs
	@$(BOOTSTRAP) --dev --browser
	@"$(BIN)/python" -m tests.run --all

bench: ## measure everything side by side; writes docs/performance.md
	@$(BOOTSTRAP)
	@"$(BIN)/python" -m bench.run

fuzz: ## write a million hostile records to both jobs
	@$(BOOTSTRAP) --dev
	@"$(BIN)/python" -m tests.fuzz.fuzz

check: docs ## ruff, the layers, mypy and the documents
	@"$(BIN)/ruff" check .
	@"$(BIN)/lint-imports" --no-cache --no-logo
	@"$(BIN)/python" -m mypy

docs: ## make a site of the documents; a broken link is an error
	@$(BOOTSTRAP) --dev
	@"$(BIN)/python" docs/tables.py --check
	@"$(BIN)/python" -m sphinx -q -E -W --keep-going -d "$$FRAUDLAB_HOME/site/.doctrees" docs "$$FRAUDLAB_HOME/site"

setup: ## set up what is missing, start nothing
	@$(BOOTSTRAP)
	@"$(BIN)/fraudlab" setup

bundle: ## pack everything into one file, for machines without a network
	@$(BOOTSTRAP) --dev
	@"$(BIN)/python" -m fraudlab.stack.provision.pack "$$FRAUDLAB_HOME" $(if $(WITHOUT_PYTHON),--without-python)

stop: ## stop everything; data stays
	@if [ -x "$(BIN)/fraudlab" ]; then "$(BIN)/fraudlab" down; else echo "Nothing is set up, so nothing runs. Next: make demo"; fi

# by name: FRAUDLAB_HOME may be a folder that holds other things
MADE = class venv jars lib user uv python packages maven bundle logs run mysql kafka zookeeper flink flink-keys classes supervisor inbox dashboard secrets.json secrets.lock setup-times.json .lock .grading test bench bench-environments site demo-report.json generator-report.json bench-drain.json bench-stages.json bench-dashboard.json bench-notifications.json
clean: stop ## stop everything and remove all that was made at run time
	@if cd "$$FRAUDLAB_HOME" 2>/dev/null; then rm -rf $(MADE) "test labs"; fi
	@rmdir "$$FRAUDLAB_HOME" 2>/dev/null || true
	@echo "Next: make demo sets it all up again."

# after a change of dependencies: every lock has hashes, and no address of an index
UV_LOCK = env -u PIP_FIND_LINKS "$$FRAUDLAB_HOME/uv/bin/uv" pip compile -q --no-config --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header
SOURCES = pyproject.toml $(wildcard data-generator/pyproject.toml)
BENCH_LOCKS = bench/peers/confluent bench/peers/quix bench/plots
lock: ## write the dependency locks again
	@$(BOOTSTRAP)
	@$(UV_LOCK) $(SOURCES) --extra dev -o requirements/dev.lock
	@$(UV_LOCK) $(SOURCES) -c requirements/dev.lock -o requirements/run.lock
	@for name in installer uv java; do $(UV_LOCK) requirements/$$name.in -c requirements/dev.lock -o requirements/$$name.lock; done
	@for folder in $(BENCH_LOCKS); do $(UV_LOCK) $$folder/requirements.in -o $$folder/requirements.lock; done
	@"$(BIN)/python" -m fraudlab.stack.provision.jars --lock "$$FRAUDLAB_HOME"
	@for lock in dev run installer uv java; do \
	  { echo "# Written by make lock, from pyproject.toml and requirements/*.in. Do not edit."; cat requirements/$$lock.lock; } > $$lock.new \
	  && mv $$lock.new requirements/$$lock.lock; done
	@echo "Next: make test"
