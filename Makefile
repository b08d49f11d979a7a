# Thin calls of bootstrap.py and the fraudlab command. `make` alone prints the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# `abspath` takes a name with a space for two
SPACE := $(subst ,, )
export FRAUDLAB_HOME := $(subst <space>,$(SPACE),$(abspath $(subst $(SPACE),<space>,$(or $(FRAUDLAB_HOME),.fraudlab))))
BIN := $(FRAUDLAB_HOME)/venv/bin
BOOTSTRAP = $(if $(PYTHON),,$(error No Python was found: install Python 3.11, or say where it is: make PYTHON=<path>))$(PYTHON) bootstrap.py
.DEFAULT_GOAL := help
.PHONY: help demo lab up test bench check docs setup stop clean lock

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## set up what is missing, start everything and see fraud being caught
	@started=$$(date +%s) && $(BOOTSTRAP) && FRAUDLAB_STARTED_S=$$started "$(BIN)/fraudlab" demo

lab: ## set up what is missing and open the labs in JupyterLab
	@$(BOOTSTRAP) --dev
	@"$(BIN)/fraudlab" lab

up: ## set up what is missing and start MySQL, Kafka and Flink
	@$(BOOTSTRAP)
	@"$(BIN)/fraudlab" up

test: check ## set up what is missing, check the code and run all tests
	@$(BOOTSTRAP) --dev --browser
	@"$(BIN)/python" -m tests.run

bench: ## print the performance table
	@$(BOOTSTRAP)
	@"$(BIN)/python" bench/run.py

check: docs ## ruff, mypy and the documents
	@"$(BIN)/ruff" check .
	@"$(BIN)/mypy"

docs: ## make a site of the documents; a broken link is an error
	@$(BOOTSTRAP) --dev
	@"$(BIN)/python" docs/tables.py --check
	@"$(BIN)/sphinx-build" -q -E -W --keep-going -d "$(FRAUDLAB_HOME)/site/.doctrees" docs "$(FRAUDLAB_HOME)/site"

setup: ## set up what is missing, start nothing
	@$(BOOTSTRAP)
	@"$(BIN)/fraudlab" setup

stop: ## stop everything; data stays
	@if [ -x "$(BIN)/fraudlab" ]; then "$(BIN)/fraudlab" down; else echo "Nothing is set up, so nothing runs. Next: make demo"; fi

# by name: FRAUDLAB_HOME may be a folder that holds other things
MADE = venv jars lib logs run mysql kafka zookeeper flink classes supervisor inbox dashboard secrets.json secrets.lock setup-times.json .lock test bench site demo-report.json generator-report.json bench.json bench-dashboard.json bench-notifications.json
clean: stop ## stop everything and remove all that was made at run time
	@rm -rf $(addprefix "$(FRAUDLAB_HOME)"/,$(MADE)) "$(FRAUDLAB_HOME)/test labs"
	@rmdir "$(FRAUDLAB_HOME)" 2>/dev/null || true
	@echo "Next: make demo sets it all up again."

# after a change of dependencies: writes requirements/*.lock anew (hashes, no index)
UV_LOCK = env -u PIP_FIND_LINKS "$(BIN)/uv" pip compile -q --no-config --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header
SOURCES = pyproject.toml $(wildcard data-generator/pyproject.toml)
lock: ## write the dependency locks anew
	@$(BOOTSTRAP)
	@$(UV_LOCK) $(SOURCES) --extra dev -o requirements/dev.lock
	@$(UV_LOCK) $(SOURCES) -c requirements/dev.lock -o requirements/run.lock
	@$(UV_LOCK) requirements/installer.in -c requirements/dev.lock -o requirements/installer.lock
	@for lock in requirements/*.lock; do \
	  { echo "# Written by make lock, from pyproject.toml and requirements/installer.in. Do not edit."; cat $$lock; } > $$lock.new \
	  && mv $$lock.new $$lock; done
	@echo "Next: make test"
